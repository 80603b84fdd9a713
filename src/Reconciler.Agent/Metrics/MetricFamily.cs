using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;

namespace Reconciler.Agent.Metrics;

/// <summary>One instrument's figures, a series per set of labels.</summary>
internal sealed class MetricFamily
{
    /// <summary>More than any node has containers; what comes beyond is not kept.</summary>
    public const int MaxSeries = 10_000;

    private readonly Instrument _instrument;
    private readonly string _type;
    private readonly double[] _bounds;
    private readonly Lock _lock = new();
    private readonly Dictionary<string, Series> _series = new(StringComparer.Ordinal);

    public MetricFamily(Instrument instrument)
    {
        _instrument = instrument;
        _type = instrument switch
        {
            Counter<long> or Counter<double> or ObservableCounter<long> or ObservableCounter<double> => "counter",
            Histogram<double> => "histogram",
            Gauge<long> or Gauge<double> or ObservableGauge<long> or ObservableGauge<double> => "gauge",
            _ => throw new ArgumentException($"{instrument.Name} is an instrument that has no form in the text format"),
        };
        _bounds = instrument is Histogram<double> { Advice.HistogramBucketBoundaries: { } bounds } ? [.. bounds] : [];
    }

    public string Name => _instrument.Name;

    public void Record(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        var labels = Labels(tags);
        lock (_lock)
        {
            if (!_series.TryGetValue(labels, out var series))
            {
                if (_series.Count >= MaxSeries) return;
                _series[labels] = series = new Series(_type == "histogram" ? new long[_bounds.Length] : []);
            }
            if (_type == "histogram") series.Observe(value, _bounds);
            else series.Value = _type == "counter" && !_instrument.IsObservable ? series.Value + value : value;
        }
    }

    /// <summary>Before it is observed anew: what is no longer there must not be shown.</summary>
    public void Forget()
    {
        if (!_instrument.IsObservable) return;
        lock (_lock) _series.Clear();
    }

    /// <summary>Appends comments and samples in Prometheus' text format 0.0.4.</summary>
    public void Write(StringBuilder text)
    {
        text.Append("# HELP ").Append(Name).Append(' ').Append(Escape(_instrument.Description ?? "", quotes: false)).Append('\n');
        text.Append("# TYPE ").Append(Name).Append(' ').Append(_type).Append('\n');
        lock (_lock)
        {
            foreach (var (labels, series) in _series)
            {
                if (_type == "histogram") WriteHistogram(text, labels, series);
                else Sample(text, Name, labels, "", series.Value);
            }
        }
    }

    private void WriteHistogram(StringBuilder text, string labels, Series series)
    {
        var sum = 0L;
        for (var i = 0; i < _bounds.Length; i++)
        {
            sum += series.Buckets[i];
            Sample(text, Name + "_bucket", labels, $"le=\"{Number(_bounds[i])}\"", sum);
        }
        Sample(text, Name + "_bucket", labels, "le=\"+Inf\"", series.Count);
        Sample(text, Name + "_sum", labels, "", series.Value);
        Sample(text, Name + "_count", labels, "", series.Count);
    }

    private static void Sample(StringBuilder text, string name, string labels, string extra, double value)
    {
        text.Append(name);
        if (labels.Length + extra.Length > 0)
        {
            text.Append('{').Append(labels);
            if (labels.Length > 0 && extra.Length > 0) text.Append(',');
            text.Append(extra).Append('}');
        }
        text.Append(' ').Append(Number(value)).Append('\n');
    }

    /// <summary>As Go's ParseFloat reads it.</summary>
    private static string Number(double value) => value switch
    {
        double.PositiveInfinity => "+Inf",
        double.NegativeInfinity => "-Inf",
        _ => value.ToString(CultureInfo.InvariantCulture),
    };

    private static string Labels(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        if (tags.Length == 0) return "";
        var text = new StringBuilder();
        foreach (var (name, value) in tags)
        {
            if (text.Length > 0) text.Append(',');
            text.Append(name).Append("=\"").Append(Escape(Convert.ToString(value, CultureInfo.InvariantCulture) ?? "", quotes: true)).Append('"');
        }
        return text.ToString();
    }

    private static string Escape(string text, bool quotes)
    {
        if (text.AsSpan().IndexOfAny('\\', '\n', '"') < 0) return text;
        var escaped = text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);
        return quotes ? escaped.Replace("\"", "\\\"", StringComparison.Ordinal) : escaped;
    }

    private sealed class Series(long[] buckets)
    {
        /// <summary>Of each bucket alone, not of those below it.</summary>
        public long[] Buckets { get; } = buckets;

        public long Count { get; private set; }

        /// <summary>The sum, of a histogram.</summary>
        public double Value { get; set; }

        public void Observe(double value, double[] bounds)
        {
            var bucket = Array.FindIndex(bounds, bound => value <= bound);
            if (bucket >= 0) Buckets[bucket]++;
            Count++;
            Value += value;
        }
    }
}
