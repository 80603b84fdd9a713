using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;

namespace Reconciler.Agent.Tests.Runtime;

[Collection(nameof(SharedDaemon))]
public sealed class LifecycleTests(SharedDaemon shared)
{
    /// <summary>Ends with 3 on SIGTERM.</summary>
    private const string Polite = "trap 'exit 3' TERM; touch /tmp/ready; while true; do sleep 0.1; done";

    /// <summary>PID 1 without a handler does not hear SIGTERM.</summary>
    private const string Deaf = "trap 'echo term' TERM; while true; do sleep 0.1; done";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_container_is_created_observed_stopped_and_deleted()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var spec = RuntimeNode.Spec(Polite) with { Uid = "u-1", GracePeriod = TimeSpan.FromSeconds(45) };
        var running = await node.CreateAsync(spec, incarnation: 1700000000, restarts: 4);

        Assert.Equal(ContainerState.Running, running.State);
        Assert.Equal((spec.Key, spec.Hash, spec.Source, 1700000000L, 4), (running.Key, running.SpecHash, running.Source, running.Incarnation, running.Restarts));
        Assert.Equal((spec.Process.Image, TimeSpan.FromSeconds(45), true), (running.ImageReference, running.GracePeriod, running.ImagePresent));
        Assert.Equal(spec.Process, running.Process);
        Assert.NotNull(running.StartedAt);
        Assert.True(File.Exists($"/proc/{running.Pid}/status"));
        Assert.Contains((await node.Runtime.ListAsync(Cancellation)).Resources, pair => pair.Key == spec.Key);

        await UntilReadyAsync(running);
        await node.StopAsync(running, TimeSpan.FromMinutes(5));
        var stopped = Assert.Single(await node.ObserveAsync(spec));
        Assert.Equal((ContainerState.Exited, 3), (stopped.State, stopped.ExitCode));
        Assert.NotNull(stopped.StopBy);

        await node.DeleteAsync(stopped);
        Assert.Empty(await node.ObserveAsync(spec));
        Assert.DoesNotContain(running.Id, await shared.Daemon.CtrAsync("containers", "ls"), StringComparison.Ordinal);
        Assert.DoesNotContain(running.Id, await shared.Daemon.CtrAsync("snapshots", "ls"), StringComparison.Ordinal);
        Assert.DoesNotContain(Leftovers.CgroupsOf(shared.Daemon.Namespace), folder => Directory.Exists($"{folder}/{running.Id}"));
    }

    [Fact]
    public async Task A_deaf_container_is_killed_at_the_end_of_its_grace()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var spec = RuntimeNode.Spec(Deaf);
        var running = await node.CreateAsync(spec);
        await node.StopAsync(running, TimeSpan.FromSeconds(1));
        var stopped = Assert.Single(await node.ObserveAsync(spec));
        Assert.Equal((ContainerState.Exited, 137), (stopped.State, stopped.ExitCode));
        await node.RemoveAsync(spec);
    }

    [Fact]
    public async Task The_next_agent_finishes_a_stop_without_a_second_signal()
    {
        await using var first = await RuntimeNode.StartAsync(shared.Daemon);
        var spec = RuntimeNode.Spec("trap 'echo term >>/data/signals' TERM; touch /data/ready; while true; do sleep 0.1; done", WithData);
        var running = await first.CreateAsync(spec);
        var data = Path.Combine(first.Folder, "state/volumes/test", spec.Workload, "data");
        await Eventually.UntilAsync(() => File.Exists($"{data}/ready"), "the container is ready");
        using var cut = new CancellationTokenSource();
        var stop = first.StopAsync(running, TimeSpan.FromMinutes(5), cancellation: cut.Token);
        await Eventually.UntilAsync(() => File.Exists($"{data}/signals"), "the signal arrives");
        await cut.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => stop);
        await first.EndAsync();

        await using var next = await RuntimeNode.StartAsync(shared.Daemon, first);
        var found = Assert.Single(await next.ObserveAsync(spec));
        Assert.Equal(ContainerState.Running, found.State);
        Assert.NotNull(found.StopBy);
        var deadline = DateTimeOffset.UtcNow.AddSeconds(3); // it is told the time of the first; five minutes are too long for a test
        await next.StopAsync(found, TimeSpan.FromMinutes(5), deadline);
        Assert.True(DateTimeOffset.UtcNow >= deadline);
        Assert.Equal("term\n", await File.ReadAllTextAsync($"{data}/signals", Cancellation));
        Assert.Equal(137, Assert.Single(await next.ObserveAsync(spec)).ExitCode);
        await next.RemoveAsync(spec);
    }

    [Fact]
    public async Task A_stop_that_is_given_up_once_it_is_announced_has_sent_its_signal()
    {
        using var folder = new TempFolder();
        using var proxy = new CallProxy(shared.Daemon.Address, folder["p.sock"]);
        await using var node = await RuntimeNode.StartAsync(shared.Daemon, address: proxy.Address);
        var spec = RuntimeNode.Spec("trap 'echo term >>/data/signals' TERM; touch /data/ready; while true; do sleep 0.1; done", WithData);
        var running = await node.CreateAsync(spec);
        var data = Path.Combine(node.Folder, "state/volumes/test", spec.Workload, "data");
        await node.UntilNotedAsync(running);
        await Eventually.UntilAsync(() => File.Exists($"{data}/ready") && proxy.IsQuiet, "the container is ready and nothing else goes on");

        using var cut = new CancellationTokenSource();
        var announced = proxy.AtCall(1, cut.Cancel);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => node.StopAsync(running, TimeSpan.FromMinutes(5), cancellation: cut.Token));

        await announced;
        Assert.NotNull(Assert.Single(await node.ObserveAsync(spec)).StopBy);
        await Eventually.UntilAsync(() => File.Exists($"{data}/signals"), "the signal arrives");
        await node.RemoveAsync(spec);
    }

    [Fact]
    public async Task An_exit_is_told_and_recorded()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var spec = RuntimeNode.Spec("exit 7");
        var container = await node.CreateAsync(spec);
        await node.UntilToldAsync(told => told is RuntimeEvent.Changed { Exit: true } changed && changed.Key == spec.Key, "the exit is told");
        var ended = await node.UntilExitedAsync(spec);
        Assert.Equal((7, "Error", false), (ended.ExitCode, ended.Reason, ended.ExitRecorded));

        await node.RecordAsync(ended);
        Assert.DoesNotContain(container.Id, await shared.Daemon.CtrAsync("tasks", "ls"), StringComparison.Ordinal);
        await node.EndAsync();
        await using var next = await RuntimeNode.StartAsync(shared.Daemon, node);
        var recorded = Assert.Single(await next.ObserveAsync(spec));
        Assert.Equal((ContainerState.Exited, 7, "Error", true), (recorded.State, recorded.ExitCode, recorded.Reason, recorded.ExitRecorded));
        Assert.NotNull(recorded.FinishedAt);
        Assert.True(recorded.StartedAt <= recorded.FinishedAt);
        await next.RemoveAsync(spec);
    }

    [Fact]
    public async Task A_kill_for_memory_is_told_apart_also_when_no_agent_saw_it()
    {
        await using var first = await RuntimeNode.StartAsync(shared.Daemon);
        var spec = RuntimeNode.Spec("while [ ! -e /data/go ]; do sleep 0.1; done; exec tail /dev/zero", process => WithData(process) with
        {
            Limits = new ResourceLimits(MemoryBytes: 16 << 20),
        });
        var container = await first.CreateAsync(spec);
        await first.EndAsync();
        await File.WriteAllTextAsync(Path.Combine(first.Folder, "state/volumes/test", spec.Workload, "data/go"), "", Cancellation);
        await Eventually.UntilAsync(
            async () => (await shared.Daemon.CtrAsync("tasks", "ls")).Split('\n').Any(line => line.Contains(container.Id, StringComparison.Ordinal) && line.Contains("STOPPED", StringComparison.Ordinal)),
            "the kernel kills it");

        await using var next = await RuntimeNode.StartAsync(shared.Daemon, first);
        var ended = Assert.Single(await next.ObserveAsync(spec));
        Assert.Equal((ContainerState.Exited, 137, "OOMKilled"), (ended.State, ended.ExitCode, ended.Reason));
        await next.RecordAsync(ended);
        Assert.Equal("OOMKilled", Assert.Single(await next.ObserveAsync(spec)).Reason);
        await next.RemoveAsync(spec);
    }

    [Fact]
    public async Task The_next_agent_finds_what_runs_and_hears_its_exit()
    {
        await using var first = await RuntimeNode.StartAsync(shared.Daemon);
        var spec = RuntimeNode.Spec("while [ ! -e /data/go ]; do sleep 0.1; done; exit 5", WithData);
        var before = await first.CreateAsync(spec);
        await first.EndAsync();

        await using var next = await RuntimeNode.StartAsync(shared.Daemon, first);
        var after = Assert.Single(await next.ObserveAsync(spec));
        Assert.Equal((before.Id, before.Pid, ContainerState.Running), (after.Id, after.Pid, after.State));
        await File.WriteAllTextAsync(Path.Combine(first.Folder, "state/volumes/test", spec.Workload, "data/go"), "", Cancellation);
        await next.UntilToldAsync(told => told is RuntimeEvent.Changed { Exit: true } changed && changed.Key == spec.Key, "the exit is told");
        Assert.Equal(5, (await next.UntilExitedAsync(spec)).ExitCode);
        await next.RemoveAsync(spec);
    }

    [Fact]
    public async Task A_paused_container_is_stopped_in_its_own_way()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var spec = RuntimeNode.Spec(Polite);
        var container = await node.CreateAsync(spec);
        await UntilReadyAsync(container);
        await shared.Daemon.PauseAsync(container.Id);
        await node.Runtime.ListAsync(Cancellation);
        Assert.Equal(ContainerState.Paused, Assert.Single(await node.ObserveAsync(spec)).State);
        await node.StopAsync(container, TimeSpan.FromMinutes(5));
        Assert.Equal(3, Assert.Single(await node.ObserveAsync(spec)).ExitCode);
        await node.RemoveAsync(spec);
    }

    [Fact]
    public async Task Adopting_changes_labels_and_nothing_that_runs()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var spec = RuntimeNode.Spec(Polite);
        var before = await node.CreateAsync(spec);
        await node.Runtime.AdoptContainerAsync(new NodeAction.AdoptContainer(before.Id, "kubernetes", TimeSpan.FromSeconds(7), "test"), Cancellation);
        await node.Runtime.ListAsync(Cancellation);
        var after = Assert.Single(await node.ObserveAsync(spec));
        Assert.Equal(("kubernetes", TimeSpan.FromSeconds(7)), (after.Source, after.GracePeriod));
        Assert.Equal((before.Id, before.Pid, before.SpecHash, before.Restarts, ContainerState.Running), (after.Id, after.Pid, after.SpecHash, after.Restarts, after.State));
        await node.RemoveAsync(spec);
    }

    [Fact]
    public async Task A_running_container_is_not_deleted()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var spec = RuntimeNode.Spec(Polite);
        var running = await node.CreateAsync(spec);
        var refused = await Assert.ThrowsAsync<RuntimeException>(() => node.DeleteAsync(running));
        Assert.Equal(RuntimeErrorKind.Conflict, refused.Kind);
        Assert.Equal(running.Pid, Assert.Single(await node.ObserveAsync(spec)).Pid);
        await node.RemoveAsync(spec);
        var gone = await Assert.ThrowsAsync<RuntimeException>(() => node.DeleteAsync(running));
        Assert.Equal(RuntimeErrorKind.NotFound, gone.Kind);
    }

    /// <summary>Its trap is set: PID 1 does not hear a signal before.</summary>
    private static Task UntilReadyAsync(ActualContainer container) =>
        Eventually.UntilAsync(() => File.Exists($"/proc/{container.Pid}/root/tmp/ready"), "the container is ready");

    internal static ContainerProcess WithData(ContainerProcess process) =>
        process with { Mounts = [new Mount("/data", false, new Volume.EmptyDir("data", false, null))] };
}
