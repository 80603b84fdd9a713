using System.Diagnostics.Metrics;
using Reconciler.Agent.Hosting;
using Reconciler.Agent.Runtime;
using Reconciler.Agent.State;
using Reconciler.Core.Engine;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;

namespace Reconciler.Agent.Metrics;

/// <summary>What is read off the parts of the agent whenever somebody asks.</summary>
internal static class NodeMetrics
{
    public const string QueueHelp = "Keys in the queue: due, waiting for their time (later), or worked on (taken).";

    private static readonly string[] Phases = ["Starting", "WaitingForContainerd", "WaitingForLock", "Running"];

    public static void Add(Meter meter, StateSink sink)
    {
        meter.CreateObservableGauge("reconciler_agent_phase", () => Phases.Select(phase => Is("phase", phase, sink.Agent.Phase == phase)), null, "1 for what the agent does now: Running, or what it waits for.");
        meter.CreateObservableGauge("reconciler_containers", () => ByReason(sink, ResourceKind.Container), null, "Containers that are declared or present, by the reason that get shows.");
        meter.CreateObservableGauge("reconciler_images", () => ByReason(sink, ResourceKind.Image), null, "Images that are declared, or that something happens to, by the reason that get shows.");
        meter.CreateObservableGauge("reconciler_container_ready", () => Ready(sink), null, "1 if a container is as declared: it runs, or it ended or is suspended as it should; else 0.");
    }

    public static void Add(Meter meter, ContainerdRuntime runtime, ReconcileLoop loop)
    {
        meter.CreateObservableCounter(
            "reconciler_container_restarts_total", () => runtime.Restarts().Select(pair => new Measurement<long>(pair.Value, Of(pair.Key))), null, "Restarts of a container since it was first made; kept over restarts of the agent.");
        meter.CreateObservableGauge("reconciler_pulls", () => (long)runtime.Snapshot().Count, null, "Pulls under way.");
        meter.CreateObservableGauge("reconciler_queue_depth", () => Depths(loop.Queued), null, QueueHelp);
    }

    public static void Add(Meter meter, IReadOnlyList<ReportedSource> sources)
    {
        meter.CreateObservableGauge("reconciler_source_synced", () => sources.Select(source => Is("source", source.Name, source.Last is { Synced: true })), null, "1 if a source was read and can be relied on; else its last good state counts.");
        meter.CreateObservableGauge("reconciler_source_problems", () => sources.Select(source => Count(source, source.Last?.Problems.Count(problem => !problem.Warning) ?? 0)), null, "Documents of a source that were refused.");
        meter.CreateObservableGauge("reconciler_source_resources", () => sources.Select(source => Count(source, source.Last?.Resources.Count ?? 0)), null, "Containers and images that a source declares.");
    }

    /// <param name="silence">Since the last byte of any answer to the watch.</param>
    public static void Add(Meter meter, Func<TimeSpan> silence) =>
        meter.CreateObservableGauge("reconciler_watch_silence_seconds", () => silence().TotalSeconds, "s", "Time since the API server last sent anything about this node's workloads; it does about once a minute.");

    /// <param name="folder">The log folder.</param>
    public static void Add(Meter meter, string folder)
    {
        meter.CreateObservableGauge("reconciler_log_disk_free_bytes", () => Disk(folder, disk => disk.AvailableFreeSpace), "By", "Free space of the disk with the log folder.");
        meter.CreateObservableGauge("reconciler_log_disk_size_bytes", () => Disk(folder, disk => disk.TotalSize), "By", "Size of the disk with the log folder.");
    }

    public static IEnumerable<Measurement<long>> Depths(QueueDepth depth) =>
    [
        new(depth.Due, new KeyValuePair<string, object?>("state", "due")),
        new(depth.Later, new KeyValuePair<string, object?>("state", "later")),
        new(depth.Taken, new KeyValuePair<string, object?>("state", "taken")),
    ];

    private static IEnumerable<Measurement<long>> ByReason(StateSink sink, ResourceKind kind) => sink.Keys().Values
        .Where(key => key.Kind == kind)
        .GroupBy(key => key.Reason, StringComparer.Ordinal)
        .Select(group => new Measurement<long>(group.Count(), new KeyValuePair<string, object?>("reason", group.Key)));

    private static IEnumerable<Measurement<long>> Ready(StateSink sink) => sink.Keys().Values
        .Where(key => key.Kind == ResourceKind.Container)
        .Select(key => new Measurement<long>(key.Ready || key.Reason is ConditionReason.Completed or ConditionReason.Suspended ? 1 : 0, Of(key.Key)));

    private static KeyValuePair<string, object?>[] Of(ResourceKey key)
    {
        var name = key.Name.Split('/', 2);
        return [new("namespace", key.Namespace), new("workload", name[0]), new("container", name[^1])];
    }

    private static Measurement<long> Is(string label, string value, bool holds) => new(holds ? 1 : 0, new KeyValuePair<string, object?>(label, value));

    private static Measurement<long> Count(ReportedSource source, int count) => new(count, new KeyValuePair<string, object?>("source", source.Name));

    /// <summary>Nothing, while the disk cannot be asked.</summary>
    private static IEnumerable<Measurement<long>> Disk(string folder, Func<DriveInfo, long> ask)
    {
        try
        {
            return [new Measurement<long>(ask(new DriveInfo(folder)))];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
