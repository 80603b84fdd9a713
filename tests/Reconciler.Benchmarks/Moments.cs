using System.Collections.Concurrent;
using System.Text.Json;
using Reconciler.Containerd;
using Reconciler.Sources.Kubernetes;
using Reconciler.Testing;

namespace Reconciler.Benchmarks;

/// <summary>When a container came to be, by containerd's own events.</summary>
internal sealed record ContainerMoments(DateTimeOffset Recorded, DateTimeOffset TaskMade, DateTimeOffset Started);

/// <summary>Collects containerd's events of two namespaces.</summary>
internal sealed class ContainerTimes : IAsyncDisposable
{
    private readonly ConcurrentDictionary<string, DateTimeOffset> _recorded = new();
    private readonly ConcurrentDictionary<string, DateTimeOffset> _made = new();
    private readonly ConcurrentDictionary<string, DateTimeOffset> _started = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource[] _ready = [new(), new()];
    private readonly Task[] _readers;

    public ContainerTimes(ContainerdClient one, ContainerdClient other) => _readers = [ReadAsync(one, _ready[0]), ReadAsync(other, _ready[1])];

    public Task ReadyAsync() => Task.WhenAll(_ready.Select(ready => ready.Task)).WaitAsync(Eventually.DefaultLimit);

    /// <summary>Waits for the start of the container whose id begins so.</summary>
    public async Task<ContainerMoments> OfAsync(string prefix)
    {
        var id = await Eventually.GetAsync(
            () => Task.FromResult(_started.Keys.FirstOrDefault(id => id.StartsWith(prefix, StringComparison.Ordinal))), $"containerd tells the start of {prefix}");
        return new ContainerMoments(_recorded[id], _made[id], _started[id]);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        foreach (var reader in _readers) await reader.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stop.Dispose();
    }

    private async Task ReadAsync(ContainerdClient client, TaskCompletionSource ready)
    {
        await foreach (var happened in client.EventsAsync([$"namespace=={client.Options.Namespace}"], _stop.Token))
        {
            if (happened is ContainerdEvent.Gap) ready.TrySetResult();
            else if (happened is ContainerdEvent.ContainerChanged { Kind: ChangeKind.Created } record) _recorded[record.Id] = happened.Timestamp;
            else if (happened is ContainerdEvent.TaskCreate made) _made[made.ContainerId] = happened.Timestamp;
            else if (happened is ContainerdEvent.TaskStart start) _started[start.ContainerId] = happened.Timestamp;
        }
    }
}

/// <summary>When a watch of all workloads tells that one is there, is ready, is gone.</summary>
internal sealed class ObjectTimes : IAsyncDisposable
{
    private readonly ClusterClient _client;
    private readonly ConcurrentDictionary<string, DateTimeOffset> _first = new();
    private readonly ConcurrentDictionary<string, DateTimeOffset> _ready = new();
    private readonly ConcurrentDictionary<string, bool> _gone = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _reader;

    private ObjectTimes(ClusterClient client, ClusterWatch watch)
    {
        _client = client;
        _reader = ReadAsync(watch);
    }

    public static async Task<ObjectTimes> StartAsync(Cluster cluster)
    {
        var client = ClusterClient.Open(new ClusterOptions { Kubeconfig = cluster.Api.Kubeconfig, Program = "bench" }, TimeProvider.System);
        return new ObjectTimes(client, await client.WatchAsync($"{Cluster.Workloads}?watch=1", TimeSpan.FromMinutes(10), CancellationToken.None));
    }

    /// <summary>Waits for Ready; the first event of the workload and the one that says Ready.</summary>
    public async Task<(DateTimeOffset First, DateTimeOffset Ready)> ReadyAsync(string name)
    {
        await Eventually.UntilAsync(() => _ready.ContainsKey(name) || _reader.IsCompleted, $"{name} is ready");
        if (_reader.IsCompleted) await _reader;
        return (_first[name], _ready[name]);
    }

    public Task GoneAsync(string name) => Eventually.UntilAsync(() => _gone.ContainsKey(name), $"{name} is gone");

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _reader.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _client.Dispose();
        _stop.Dispose();
    }

    /// <summary>Ready of this generation.</summary>
    public static bool IsReady(ClusterObject workload)
    {
        using var document = JsonDocument.Parse(workload.Json);
        return document.RootElement.TryGetProperty("status", out var status)
            && status.TryGetProperty("observedGeneration", out var observed) && observed.GetInt64() == workload.Generation
            && status.TryGetProperty("conditions", out var conditions)
            && conditions.EnumerateArray().Any(condition => condition.GetProperty("type").GetString() == "Ready" && condition.GetProperty("status").GetString() == "True");
    }

    private async Task ReadAsync(ClusterWatch watch)
    {
        await using var events = watch;
        while (await events.NextAsync(_stop.Token) is { } happened)
        {
            var (now, name) = (DateTimeOffset.UtcNow, happened.Object.Name.Name);
            if (happened.Type == WatchEventType.Deleted) _gone[name] = true;
            else if (_first.TryAdd(name, now) || !_ready.ContainsKey(name))
                if (IsReady(happened.Object))
                    _ready[name] = now;
        }
        throw new InvalidOperationException("the API server ended the watch");
    }
}
