using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Benchmarks;

/// <summary>A Node as a kubelet registers it, and its agent's Lease, which holds for an hour.</summary>
internal static class ClusterNode
{
    /// <summary>As many as a kubelet reports by default.</summary>
    private const int Images = 50;

    public static async Task AddAsync(Cluster cluster, int i)
    {
        var name = Name(i);
        await cluster.PostAsync("api/v1/nodes", $$"""
            {"apiVersion":"v1","kind":"Node","metadata":{"name":"{{name}}","labels":{"kubernetes.io/os":"linux","kubernetes.io/arch":"amd64","kubernetes.io/hostname":"{{name}}",
            "node.kubernetes.io/instance-type":"m5.large","topology.kubernetes.io/region":"north-1","topology.kubernetes.io/zone":"north-1a"},
            "annotations":{"node.alpha.kubernetes.io/ttl":"0","volumes.kubernetes.io/controller-managed-attach-detach":"true"} },
            "spec":{"podCIDR":"10.1.0.0/24","podCIDRs":["10.1.0.0/24"],"providerID":"cloud:///north-1a/{{name}}"},
            "status":{"capacity":{"cpu":"2","memory":"8Gi","pods":"110"},"allocatable":{"cpu":"1900m","memory":"7Gi","pods":"110"},
            "addresses":[{"type":"InternalIP","address":"10.0.0.1"},{"type":"Hostname","address":"{{name}}"}],"conditions":[{{Conditions()}}],"images":[{{ImageList()}}]} }
            """);
        await cluster.PostAsync($"apis/coordination.k8s.io/v1/namespaces/{Cluster.Namespace}/leases", $$"""
            {"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"{{name}}"},"spec":{"holderIdentity":"{{name}}","leaseDurationSeconds":3600,
            "renewTime":"{{DateTimeOffset.UtcNow.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture)}}"} }
            """);
    }

    public static string Name(int i) => "node-" + i.ToString("0000", CultureInfo.InvariantCulture);

    private static string Conditions() => string.Join(',', new[] { "MemoryPressure", "DiskPressure", "PIDPressure", "Ready" }.Select(type => $$"""
        {"type":"{{type}}","status":"{{(type == "Ready" ? "True" : "False")}}","reason":"Kubelet{{type}}","message":"kubelet has posted its status for {{type}}",
        "lastHeartbeatTime":"2025-01-01T00:00:00Z","lastTransitionTime":"2025-01-01T00:00:00Z"}
        """));

    private static string ImageList() => string.Join(',', Enumerable.Range(0, Images).Select(i => $$"""
        {"names":["registry.example/library/image-{{i}}@sha256:{{new string('a', 64)}}","registry.example/library/image-{{i}}:v1.{{i}}"],"sizeBytes":{{1_000_000 + i}}}
        """));
}

/// <summary>Says for every workload of every node what its agent would: Ready for a new generation, Stopped for a deletion.</summary>
internal sealed class StandIns : IAsyncDisposable
{
    private const int Workers = 16;

    private readonly ClusterClient _client;
    private readonly Channel<ClusterObject> _work = Channel.CreateUnbounded<ClusterObject>();
    private readonly CancellationTokenSource _stop = new();
    private readonly List<Task> _tasks;

    public StandIns(Cluster cluster)
    {
        _client = ClusterClient.Open(new ClusterOptions { Kubeconfig = cluster.Api.Kubeconfig, Program = "bench" }, TimeProvider.System);
        _tasks = [FollowAsync(), .. Enumerable.Range(0, Workers).Select(_ => WriteAsync())];
    }

    /// <summary>A fault of a stand-in; null = none.</summary>
    public Exception? Fault => _tasks.Find(task => task.IsFaulted)?.Exception;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        foreach (var task in _tasks) await task.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _client.Dispose();
        _stop.Dispose();
    }

    /// <summary>A watch from no version begins with all that is there, so a broken one loses nothing.</summary>
    private async Task FollowAsync()
    {
        while (true)
        {
            try
            {
                await using var events = await _client.WatchAsync($"{Cluster.Workloads}?watch=1", TimeSpan.FromMinutes(10), _stop.Token);
                while (await events.NextAsync(_stop.Token) is { } happened)
                    if (happened.Type != WatchEventType.Deleted && !IsSaid(happened.Object))
                        await _work.Writer.WriteAsync(happened.Object, _stop.Token);
            }
            catch (ClusterException e)
            {
                Console.Error.WriteLine($"stand-ins: {e.Message}");
            }
            await Task.Delay(TimeSpan.FromMilliseconds(100), _stop.Token);
        }
    }

    private static bool IsSaid(ClusterObject workload)
    {
        if (!workload.IsDeleting) return ObjectTimes.IsReady(workload);
        using var document = JsonDocument.Parse(workload.Json);
        return document.RootElement.TryGetProperty("status", out var status) && status.TryGetProperty("conditions", out var conditions)
            && conditions.EnumerateArray().Any(condition => condition.GetProperty("type").GetString() == "Stopped");
    }

    private async Task WriteAsync()
    {
        await foreach (var workload in _work.Reader.ReadAllAsync(_stop.Token))
        {
            var status = $$"""
                {"status":{"observedGeneration":{{workload.Generation}},"revision":"{{workload.Revision}}","conditions":[{{string.Join(',', Conditions(workload))}}],
                "containers":[{"name":"c","state":"Running","reason":"Running","imageID":"sha256:{{new string('b', 64)}}","restartCount":0,"startedAt":"{{Now()}}"}],"images":[]} }
                """;
            try
            {
                using var written = await _client.PatchAsync($"{Cluster.Workloads}/{workload.Name.Name}/status", Encoding.UTF8.GetBytes(status), "application/merge-patch+json", _stop.Token);
            }
            catch (ClusterException e) when (e.IsNotFound || e.IsConflict)
            {
                // It was let go, or changed, meanwhile: the watch tells.
            }
        }
    }

    private static IEnumerable<string> Conditions(ClusterObject workload)
    {
        string Condition(string type, bool holds) => $$"""
            {"type":"{{type}}","status":"{{holds}}","reason":"Running","message":"","lastTransitionTime":"{{Now()}}","observedGeneration":{{workload.Generation}}}
            """;
        yield return Condition("Ready", !workload.IsDeleting);
        yield return Condition("Reconciling", false);
        yield return Condition("Stalled", false);
        if (workload.IsDeleting) yield return Condition("Stopped", true);
    }

    private static string Now() => DateTimeOffset.UtcNow.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
}
