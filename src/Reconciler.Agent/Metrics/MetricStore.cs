using System.Diagnostics.Metrics;
using System.Text;

namespace Reconciler.Agent.Metrics;

/// <summary>
/// Keeps what the instruments of one meter say, and writes it as Prometheus reads it. Instruments that are observed are asked when it is written, so that
/// nothing is done for them while nobody looks.
/// </summary>
internal sealed class MetricStore : IDisposable
{
    /// <summary>Of what <see cref="Write"/> returns.</summary>
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    private readonly Lock _writing = new();
    private readonly Lock _lock = new();
    private readonly SortedDictionary<string, MetricFamily> _families = new(StringComparer.Ordinal);
    private readonly MeterListener _listener = new();

    /// <param name="meter">Whose instruments; those that it gets later count as well. Each name once.</param>
    public MetricStore(Meter meter)
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter == meter) listener.EnableMeasurementEvents(instrument, Add(instrument));
        };
        _listener.SetMeasurementEventCallback<long>(static (_, value, tags, family) => ((MetricFamily)family!).Record(value, tags));
        _listener.SetMeasurementEventCallback<double>(static (_, value, tags, family) => ((MetricFamily)family!).Record(value, tags));
        _listener.Start();
    }

    /// <summary>Prometheus' text format 0.0.4, families in the order of their names.</summary>
    public byte[] Write()
    {
        lock (_writing)
        {
            var families = Families();
            foreach (var family in families) family.Forget();
            _listener.RecordObservableInstruments();
            var text = new StringBuilder();
            foreach (var family in families) family.Write(text);
            return Encoding.UTF8.GetBytes(text.ToString());
        }
    }

    public void Dispose() => _listener.Dispose();

    private List<MetricFamily> Families()
    {
        lock (_lock) return [.. _families.Values];
    }

    private MetricFamily Add(Instrument instrument)
    {
        var family = new MetricFamily(instrument);
        lock (_lock) _families.Add(family.Name, family);
        return family;
    }
}
