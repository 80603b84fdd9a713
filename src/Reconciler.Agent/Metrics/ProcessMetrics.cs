using System.Diagnostics.Metrics;
using Reconciler.Agent.Hosting;
using Reconciler.Agent.Tracing;

namespace Reconciler.Agent.Metrics;

/// <summary>This process, under the names that every Prometheus client gives them.</summary>
internal static class ProcessMetrics
{
    public static void Add(Meter meter, DateTimeOffset startedAt)
    {
        var start = startedAt.ToUnixTimeMilliseconds() / 1000.0;
        meter.CreateObservableGauge("process_start_time_seconds", () => start, "s", "When this process began, in seconds since 1970.");
        meter.CreateObservableCounter("process_cpu_seconds_total", () => Environment.CpuUsage.TotalTime.TotalSeconds, "s", "CPU time of this process, user and system.");
        meter.CreateObservableGauge("process_resident_memory_bytes", () => Environment.WorkingSet, "By", "Resident memory of this process.");
        meter.CreateObservableGauge("process_open_fds", OpenFiles, null, "Open file descriptors of this process.");
        meter.CreateObservableGauge("reconciler_gc_heap_bytes", () => GC.GetTotalMemory(forceFullCollection: false), "By", "Managed heap of this process.");
        meter.CreateObservableCounter("reconciler_gc_collections_total", () => (long)GC.CollectionCount(0), null, "Garbage collections of this process.");
        meter.CreateObservableCounter("reconciler_trace_spans_dropped_total", () => SpanQueue.Dropped, null, "Spans lost, since too many waited for the collector or it did not take them.");
        meter.CreateObservableGauge(
            "reconciler_build_info", () => new Measurement<long>(1, new KeyValuePair<string, object?>("version", AgentService.Version)), null, "1; its label is the version of this program.");
    }

    private static long OpenFiles()
    {
        try
        {
            return Directory.GetFiles("/proc/self/fd").Length;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return 0;
        }
    }
}
