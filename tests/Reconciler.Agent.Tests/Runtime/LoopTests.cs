using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Microsoft.Extensions.Logging.Abstractions;
using Reconciler.Core.Engine;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;

namespace Reconciler.Agent.Tests.Runtime;

/// <summary>The loop over the adapter: what is declared runs, and stays so.</summary>
[Collection(nameof(SharedDaemon))]
public sealed class LoopTests(SharedDaemon shared)
{
    private const string Forever = "trap 'exit 0' TERM; while true; do sleep 0.1; done";

    [Fact]
    public async Task Declared_containers_run_heal_change_and_go()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon, collects: false);
        await using var loop = new RunningLoop(node);
        var workload = "w" + Names.Unique();
        var (one, two) = (Named(workload, "one", ""), Named(workload, "two", ""));
        loop.Declare(one, two);
        var first = await RunningAsync(node, one);
        var sibling = await RunningAsync(node, two);
        var data = Path.Combine(node.Folder, "state/volumes/test", workload);

        Signals.Send(first.Pid, Signals.Kill);
        var healed = await RunningAsync(node, one, first.Id);
        Assert.Equal(1, healed.Restarts);

        var changed = Named(workload, "one", "changed");
        loop.Declare(changed, two);
        var renewed = await RunningAsync(node, changed, healed.Id);
        Assert.Equal(changed.Hash, renewed.SpecHash);
        await Eventually.UntilAsync(async () => (await node.ObserveAsync(one)).Count == 1, "the old copy is deleted");
        Assert.Equal(sibling.Pid, (await RunningAsync(node, two)).Pid);
        Assert.True(Directory.Exists(data));

        loop.Declare();
        await Eventually.UntilAsync(async () => (await node.ObserveAsync(one)).Count + (await node.ObserveAsync(two)).Count == 0, "all are gone");
        await Eventually.UntilAsync(() => !Directory.Exists(data), "its volumes are gone");
        foreach (var list in new[] { "containers", "tasks", "snapshots" })
            Assert.DoesNotContain(workload, await shared.Daemon.CtrAsync(list, "ls"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_next_loop_touches_nothing_that_is_as_declared()
    {
        await using var first = await RuntimeNode.StartAsync(shared.Daemon, collects: false);
        var workload = "w" + Names.Unique();
        ContainerSpec[] specs = [.. Enumerable.Range(0, 4).Select(i => Named(workload, "c" + i, ""))];
        var before = new List<int>();
        await using (var loop = new RunningLoop(first))
        {
            loop.Declare(specs);
            foreach (var spec in specs) before.Add((await RunningAsync(first, spec)).Pid);
        }
        await first.EndAsync();

        await using var next = await RuntimeNode.StartAsync(shared.Daemon, first, collects: false);
        await using var again = new RunningLoop(next);
        again.Declare(specs);
        await Eventually.UntilAsync(() => specs.All(spec => again.Sink.Reports.TryGetValue(spec.Key, out var report) && report.Condition.Ready), "all are found");
        var after = new List<int>();
        foreach (var spec in specs) after.Add(Assert.Single(await next.ObserveAsync(spec)).Pid);
        Assert.Equal(before, after);
        Assert.All(again.Sink.Reports.Values.Where(report => report.Key.Name.StartsWith(workload, StringComparison.Ordinal)), report => Assert.Empty(report.Actions));
        again.Declare();
        foreach (var spec in specs) await Eventually.UntilAsync(async () => (await next.ObserveAsync(spec)).Count == 0, $"{spec.Key} is gone");
    }

    [Fact]
    public async Task A_killed_shim_is_healed_with_one_copy()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon, collects: false);
        await using var loop = new RunningLoop(node);
        var spec = Named("w" + Names.Unique(), "one", "");
        loop.Declare(spec);
        var before = await RunningAsync(node, spec);
        Signals.Send(DriftTests.ShimOf(before.Pid), Signals.Kill);
        var after = await RunningAsync(node, spec, before.Id);
        Assert.DoesNotContain(before.Pid, Leftovers.ProcessesOf(shared.Daemon.Namespace));
        Assert.True(after.Incarnation > before.Incarnation);
        await Eventually.UntilAsync(async () => (await node.ObserveAsync(spec)).Count == 1, "the dead one is deleted");
        loop.Declare();
        await Eventually.UntilAsync(async () => (await node.ObserveAsync(spec)).Count == 0, "it is gone");
    }

    [Fact]
    public async Task A_resync_lists_images_and_asks_the_watch_and_neither_it_nor_a_heal_lists_processes()
    {
        var calls = new CallLog();
        await using var node = await RuntimeNode.StartAsync(shared.Daemon, collects: false, calls: calls);
        await using var loop = new RunningLoop(node, new ReconcileOptions { ResyncInterval = TimeSpan.FromMilliseconds(500) });
        var spec = Named("w" + Names.Unique(), "one", "");
        loop.Declare(spec);
        var before = await RunningAsync(node, spec);
        await ResyncsAsync(calls, 2); // what was read once is read

        await ResyncsAsync(calls, 3);
        // The container was looked at each time: the watch tells that it runs, at no call.
        Assert.DoesNotContain(calls.Calls, call => call is "Tasks.Get" or "Tasks.ListPids" or "Containers.Get");

        Signals.Send(before.Pid, Signals.Kill);
        await RunningAsync(node, spec, before.Id);
        Assert.DoesNotContain("Tasks.ListPids", calls.Calls);
        loop.Declare();
        await Eventually.UntilAsync(async () => (await node.ObserveAsync(spec)).Count == 0, "it is gone");
    }

    [Fact]
    public async Task The_processes_of_a_container_are_listed_where_its_shim_leaves_its_life_in_doubt()
    {
        await using var first = await RuntimeNode.StartAsync(shared.Daemon);
        var spec = Named("w" + Names.Unique(), "one", "");
        var running = await first.CreateAsync(spec);
        await first.EndAsync();
        var calls = new CallLog();
        var shim = DriftTests.ShimOf(running.Pid);
        Task<RuntimeNode> starting;
        Signals.Send(shim, Signals.Stop);
        try
        {
            starting = RuntimeNode.StartAsync(shared.Daemon, first, calls: calls);
            await Eventually.UntilAsync(() => calls.Calls.Contains("Tasks.ListPids"), "its processes are listed");
        }
        finally
        {
            Signals.Send(shim, Signals.Continue);
        }

        await using var next = await starting;
        var found = await next.UntilAsync(spec, container => container.State == ContainerState.Running, "it is known to run");
        Assert.Equal((running.Id, running.Pid), (found.Id, found.Pid));
        await next.RemoveAsync(spec);
    }

    private static async Task ResyncsAsync(CallLog calls, int count)
    {
        calls.Clear();
        await Eventually.UntilAsync(() => calls.Calls.Count(call => call == "Images.List") >= count, $"{count} full lists");
    }

    private static Task<ActualContainer> RunningAsync(RuntimeNode node, ContainerSpec spec, string? not = null) =>
        node.UntilAsync(spec, container => container.State == ContainerState.Running && container.Id != not && container.SpecHash == spec.Hash, $"{spec.Key} runs");

    private static ContainerSpec Named(string workload, string name, string value)
    {
        var spec = RuntimeNode.Spec(Forever, process => LifecycleTests.WithData(process) with { Env = [new EnvVar("VALUE", value)] }, workload);
        return spec with { Name = name, Key = ResourceKey.Container("test", workload, name), GracePeriod = TimeSpan.FromSeconds(5) };
    }

    private sealed class RunningLoop : IDesiredSource, IAsyncDisposable
    {
        private readonly Channel<SourceState> _states = Channel.CreateUnbounded<SourceState>();
        private readonly CancellationTokenSource _stop = new();
        private readonly ReconcileLoop _loop;
        private readonly Task _run;

        public RunningLoop(RuntimeNode node, ReconcileOptions? options = null)
        {
            _loop = new ReconcileLoop(node.Runtime, Sink, TimeProvider.System, options ?? new ReconcileOptions(), NullLogger<ReconcileLoop>.Instance);
            _run = _loop.RunAsync([this], _stop.Token);
        }

        public string Name => "file:test";

        public LastReports Sink { get; } = new();

        public void Declare(params ContainerSpec[] specs) => _states.Writer.TryWrite(new SourceState
        {
            Source = Name,
            Synced = true,
            Resources = specs.ToImmutableDictionary(spec => spec.Key, DesiredResource (spec) => spec),
        });

        public async IAsyncEnumerable<SourceState> WatchAsync([EnumeratorCancellation] CancellationToken cancellation)
        {
            await foreach (var state in _states.Reader.ReadAllAsync(cancellation)) yield return state;
        }

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await _run;
            _loop.Dispose();
            _stop.Dispose();
        }
    }

    private sealed class LastReports : IStatusSink
    {
        public ConcurrentDictionary<ResourceKey, StatusReport> Reports { get; } = new();

        public IReadOnlyCollection<ResourceKey> Known => [.. Reports.Keys];

        public void Begin(PlannedKey planned)
        {
        }

        public void Report(StatusReport report) => Reports[report.Key] = report;

        public KeyMemory? Recall(ResourceKey key) => null;

        public void Forget(ResourceKey key) => Reports.TryRemove(key, out _);
    }
}
