using System.Collections.Concurrent;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;
using Reconciler.Testing.Fakes;

namespace Reconciler.Agent.Tests.Cluster;

/// <summary>What all agents of a node did, and where two things were done to one key at once.</summary>
internal sealed class Ledger
{
    private readonly ConcurrentDictionary<ResourceKey, int> _busy = [];
    private readonly ConcurrentQueue<string> _violations = [];
    private readonly ConcurrentDictionary<(ResourceKey Key, string What, string Id), bool> _done = [];

    public IReadOnlyList<string> Violations => [.. _violations];

    /// <summary>Different containers of the key that were started.</summary>
    public int Starts(ResourceKey key) => Count(key, "start");

    /// <summary>Different containers of the key that were stopped.</summary>
    public int Stops(ResourceKey key) => Count(key, "stop");

    public void Note(ResourceKey key, string what, string id) => _done[(key, what, id)] = true;

    public async Task WorkAsync(ResourceKey key, Func<Task> work)
    {
        if (_busy.AddOrUpdate(key, 1, (_, count) => count + 1) > 1) _violations.Enqueue($"{key} was worked on twice at once");
        try
        {
            await work();
        }
        finally
        {
            _busy.AddOrUpdate(key, 0, (_, count) => count - 1);
        }
    }

    private int Count(ResourceKey key, string what) => _done.Keys.Count(done => done.Key == key && done.What == what);
}

/// <summary>A fake runtime whose verbs take a moment, so that two at once would meet.</summary>
internal sealed class WatchedRuntime(FakeNode node, Ledger ledger) : IContainerRuntime
{
    private readonly FakeRuntime _inner = new(node);

    public Task<NodeObservation> ListAsync(CancellationToken cancellation) => _inner.ListAsync(cancellation);

    public Task<Actual> ObserveAsync(ResourceKey key, string? image, CancellationToken cancellation) => _inner.ObserveAsync(key, image, cancellation);

    public Task RecoverAsync(CancellationToken cancellation) => _inner.RecoverAsync(cancellation);

    public IAsyncEnumerable<RuntimeEvent> EventsAsync(CancellationToken cancellation) => _inner.EventsAsync(cancellation);

    public async Task<PulledImage> PullImageAsync(NodeAction.PullImage action, CancellationToken cancellation)
    {
        await MomentAsync(cancellation);
        return await _inner.PullImageAsync(action, cancellation);
    }

    public Task CreateContainerAsync(NodeAction.CreateContainer action, CancellationToken cancellation) => ledger.WorkAsync(action.Spec.Key, async () =>
    {
        await MomentAsync(cancellation);
        await _inner.CreateContainerAsync(action, cancellation);
        ledger.Note(action.Spec.Key, "start", $"{action.Incarnation}");
    });

    public Task StopContainerAsync(NodeAction.StopContainer action, CancellationToken cancellation) => WorkAsync(action.Id, async key =>
    {
        ledger.Note(key, "stop", action.Id);
        await _inner.StopContainerAsync(action, cancellation);
    }, cancellation);

    public Task DeleteContainerAsync(NodeAction.DeleteContainer action, CancellationToken cancellation) =>
        WorkAsync(action.Id, _ => _inner.DeleteContainerAsync(action, cancellation), cancellation);

    public Task RecordExitAsync(NodeAction.RecordExit action, CancellationToken cancellation) =>
        WorkAsync(action.Id, _ => _inner.RecordExitAsync(action, cancellation), cancellation);

    public Task AdoptContainerAsync(NodeAction.AdoptContainer action, CancellationToken cancellation) =>
        WorkAsync(action.Id, _ => _inner.AdoptContainerAsync(action, cancellation), cancellation);

    public Task RemoveImageAsync(NodeAction.RemoveImage action, CancellationToken cancellation) => _inner.RemoveImageAsync(action, cancellation);

    public Task MarkImageAsync(NodeAction.MarkImage action, CancellationToken cancellation) => _inner.MarkImageAsync(action, cancellation);

    public Task CleanWorkloadsAsync(IReadOnlyCollection<ResourceKey> declared, CancellationToken cancellation) => _inner.CleanWorkloadsAsync(declared, cancellation);

    private Task WorkAsync(string id, Func<ResourceKey, Task> work, CancellationToken cancellation)
    {
        var key = node.Containers.FirstOrDefault(container => container.Id == id)?.Key ?? throw new RuntimeException(RuntimeErrorKind.NotFound, "NotFound", $"{id} is not there");
        return ledger.WorkAsync(key, async () =>
        {
            await MomentAsync(cancellation);
            await work(key);
        });
    }

    private static Task MomentAsync(CancellationToken cancellation) => Task.Delay(TimeSpan.FromMilliseconds(Random.Shared.Next(20)), TimeProvider.System, cancellation);
}
