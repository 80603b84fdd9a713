using System.Diagnostics.Metrics;

namespace Reconciler.Agent.Metrics;

/// <summary>What bounding the logs took away.</summary>
internal sealed class LogMetrics
{
    /// <summary>For a cutter whose figures nobody reads.</summary>
    public static readonly LogMetrics Unheard = new(new Meter("Reconciler.Unheard"));

    private readonly Counter<long> _cut;
    private readonly Counter<long> _freed;

    public LogMetrics(Meter meter)
    {
        _cut = meter.CreateCounter<long>("reconciler_log_cut_bytes_total", "By", "Bytes cut off the front of log files that reached their size.");
        _freed = meter.CreateCounter<long>("reconciler_log_freed_bytes_total", "By", "Bytes of logs given up before their time, since the disk or the limit of all logs asked for it.");
        _cut.Add(0);
        _freed.Add(0);
    }

    public void Cut(long bytes) => _cut.Add(bytes);

    public void Freed(long bytes) => _freed.Add(bytes);
}
