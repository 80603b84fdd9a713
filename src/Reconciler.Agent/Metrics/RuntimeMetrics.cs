using System.Diagnostics.Metrics;
using Reconciler.Core.Planning;

namespace Reconciler.Agent.Metrics;

/// <summary>What the verbs on the node's runtime count and time.</summary>
internal sealed class RuntimeMetrics
{
    /// <summary>For a runtime whose figures nobody reads.</summary>
    public static readonly RuntimeMetrics Unheard = new(new Meter("Reconciler.Unheard"));

    private readonly Counter<long> _pullBytes;
    private readonly Histogram<double> _pullSeconds;
    private readonly Histogram<double> _exitToRunning;
    private readonly Counter<long> _brokenLogs;

    public RuntimeMetrics(Meter meter)
    {
        _pullBytes = meter.CreateCounter<long>("reconciler_pull_bytes_total", "By", "Bytes fetched from registries, failed pulls included.");
        _pullSeconds = meter.CreateHistogram(
            "reconciler_pull_duration_seconds", "s", "Time of a pull, unpacking included, by outcome: Pulled, Cancelled, or the reason that get shows.", null, Buckets.Pulls);
        _exitToRunning = meter.CreateHistogram(
            "reconciler_exit_to_running_seconds", "s", "Time from the exit of a container to when its successor runs: after=exit restarted at once, after=backoff after a wait.", null, Buckets.Heals);
        _brokenLogs = meter.CreateCounter<long>("reconciler_log_broken_total", null, "Containers found whose log files were closed by a full disk.");
        _pullBytes.Add(0);
        _brokenLogs.Add(0);
    }

    /// <param name="outcome">Pulled, Cancelled, or a failure's reason.</param>
    public void Pulled(long bytes, TimeSpan duration, string outcome)
    {
        _pullBytes.Add(bytes);
        _pullSeconds.Record(duration.TotalSeconds, new KeyValuePair<string, object?>("outcome", outcome));
    }

    /// <param name="action">What made the successor.</param>
    /// <param name="sinceExit">From the exit of its predecessor; null = there was none, or its time is not known.</param>
    public void Started(NodeAction.CreateContainer action, TimeSpan? sinceExit)
    {
        if (action.Failures == 0 || sinceExit is not { } time) return; // not the end of a crash
        _exitToRunning.Record(Math.Max(0, time.TotalSeconds), new KeyValuePair<string, object?>("after", action.Failures == 1 ? "exit" : "backoff"));
    }

    public void FoundBrokenLog() => _brokenLogs.Add(1);
}
