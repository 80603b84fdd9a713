using System.Buffers;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Reconciler.Agent.State;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Cluster;

/// <summary>Writes events (events.k8s.io/v1) for workloads of the cluster; one that repeats becomes a series. Best effort: nothing waits for it.</summary>
internal sealed partial class EventRecorder(
    ClusterClient client, KubernetesSource source, string node, TimeProvider time, ILogger<EventRecorder> logger)
{
    private const int QueueLength = 500;
    private const int SeriesAtMost = 1000;

    /// <summary>The API's limit is 1024 bytes.</summary>
    private const int NoteLength = 250;

    /// <summary>As client-go has them: a series that is silent longer is a new one; a running one is written this often.</summary>
    private static readonly TimeSpan SeriesEnd = TimeSpan.FromMinutes(6);
    private static readonly TimeSpan SeriesPeriod = TimeSpan.FromSeconds(30);

    private readonly Channel<(ResourceKey Key, NodeEvent Event, DateTimeOffset At)> _queue =
        Channel.CreateBounded<(ResourceKey, NodeEvent, DateTimeOffset)>(new BoundedChannelOptions(QueueLength) { FullMode = BoundedChannelFullMode.DropOldest });

    private readonly Dictionary<(string Uid, NodeEvent Event), Series> _series = [];

    private sealed record Series(string Name, string Namespace, int Count, DateTimeOffset Last, DateTimeOffset Written);

    public void Record(KeyState? before, PlannedKey planned)
    {
        foreach (var happened in EventText.Of(before, planned)) _queue.Writer.TryWrite((planned.Key, happened, time.GetUtcNow()));
    }

    public void Record(StatusReport report)
    {
        foreach (var happened in EventText.Of(report)) _queue.Writer.TryWrite((report.Key, happened, report.At));
    }

    public async Task RunAsync(CancellationToken stop)
    {
        await foreach (var (key, happened, at) in _queue.Reader.ReadAllAsync(stop))
        {
            foreach (var about in Concerned(key))
            {
                try
                {
                    await WriteAsync(about, happened, at, stop);
                }
                catch (ClusterException e)
                {
                    LogNotWritten(happened.Reason, about.Name, e.Message);
                }
            }
        }
    }

    /// <summary>A container's workload, or all that declare an image; none for a folder's, or one that is gone.</summary>
    private IEnumerable<ClusterObject> Concerned(ResourceKey key)
    {
        var workloads = source.View.Workloads;
        if (key.Kind == ResourceKind.Image)
            return workloads.Values.Where(workload => workload.Resources.Any(resource => resource.Key == key)).Select(workload => workload.Object);
        var name = new ObjectName(key.Namespace, key.Name[..key.Name.IndexOf('/', StringComparison.Ordinal)]);
        return workloads.TryGetValue(name, out var workload) ? [workload.Object] : [];
    }

    private async Task WriteAsync(ClusterObject about, NodeEvent happened, DateTimeOffset at, CancellationToken stop)
    {
        var key = (about.Uid, happened);
        if (_series.TryGetValue(key, out var series) && at - series.Last < SeriesEnd)
        {
            series = series with { Count = series.Count + 1, Last = at };
            if (time.GetUtcNow() - series.Written >= SeriesPeriod || series.Count == 2) series = await CountAsync(series, stop);
            _series[key] = series;
            return;
        }
        if (_series.Count >= SeriesAtMost) _series.Clear();
        var name = $"{about.Name.Name}.{Guid.NewGuid():N}"[..Math.Min(253, about.Name.Name.Length + 17)];
        using var written = await client.PostAsync($"apis/events.k8s.io/v1/namespaces/{about.Name.Namespace}/events", Body(name, about, happened, at), stop);
        _series[key] = new Series(name, about.Name.Namespace, 1, at, time.GetUtcNow());
    }

    private async Task<Series> CountAsync(Series series, CancellationToken stop)
    {
        var last = ClusterTime.Micro(series.Last);
        var patch = string.Create(
            System.Globalization.CultureInfo.InvariantCulture, $$$"""{"series":{"count":{{{series.Count}}},"lastObservedTime":"{{{last}}}"}}""");
        using var written = await client.PatchAsync(
            $"apis/events.k8s.io/v1/namespaces/{series.Namespace}/events/{series.Name}", Encoding.UTF8.GetBytes(patch), "application/merge-patch+json", stop);
        return series with { Written = time.GetUtcNow() };
    }

    private byte[] Body(string name, ClusterObject about, NodeEvent happened, DateTimeOffset at)
    {
        var buffer = new ArrayBufferWriter<byte>(1024);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("apiVersion", "events.k8s.io/v1");
            json.WriteString("kind", "Event");
            json.WriteStartObject("metadata");
            json.WriteString("name", name);
            json.WriteString("namespace", about.Name.Namespace);
            json.WriteEndObject();
            json.WriteString("eventTime", ClusterTime.Micro(at));
            json.WriteString("reportingController", "reconciler.dev/agent");
            json.WriteString("reportingInstance", node.Length <= 128 ? node : node[..128]);
            json.WriteString("type", happened.Type);
            json.WriteString("reason", happened.Reason);
            json.WriteString("action", happened.Action);
            json.WriteString("note", happened.Note.Length <= NoteLength ? happened.Note : happened.Note[..(NoteLength - 3)] + "...");
            json.WriteStartObject("regarding");
            json.WriteString("apiVersion", "reconciler.dev/v1alpha1");
            json.WriteString("kind", "NodeWorkload");
            json.WriteString("name", about.Name.Name);
            json.WriteString("namespace", about.Name.Namespace);
            json.WriteString("uid", about.Uid);
            json.WriteString("resourceVersion", about.ResourceVersion);
            json.WriteEndObject();
            json.WriteEndObject();
        }
        return buffer.WrittenSpan.ToArray();
    }

    [LoggerMessage(3201, LogLevel.Warning, "Event {Reason} of {Name} could not be written: {Message}")]
    private partial void LogNotWritten(string reason, ObjectName name, string message);
}
