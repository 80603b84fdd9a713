using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;

namespace Reconciler.Agent.Tests.Runtime;

[Collection(nameof(SharedDaemon))]
public sealed class DriftTests(SharedDaemon shared)
{
    private const string Forever = "while true; do sleep 0.1; done";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task What_is_not_ours_is_not_seen_and_not_touched()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var id = "foreign-" + Names.Unique();
        await shared.Daemon.CtrAsync("run", "-d", SharedDaemon.Image, id, "sleep", "1000");
        await node.Runtime.ListAsync(Cancellation);
        Assert.DoesNotContain((await node.Runtime.ListAsync(Cancellation)).Resources.Values, actual => actual.Containers.Any(container => container.Id == id));
        foreach (var verb in new Func<Task>[]
        {
            () => node.Runtime.StopContainerAsync(new NodeAction.StopContainer(id, TimeSpan.Zero, null, "test"), Cancellation),
            () => node.Runtime.DeleteContainerAsync(new NodeAction.DeleteContainer(id, "test"), Cancellation),
        })
        {
            var refused = await Assert.ThrowsAsync<RuntimeException>(verb);
            Assert.Equal(RuntimeErrorKind.NotFound, refused.Kind);
        }
        Assert.Contains(id, await shared.Daemon.CtrAsync("tasks", "ls"), StringComparison.Ordinal);
        var image = await Assert.ThrowsAsync<RuntimeException>(
            () => node.Runtime.RemoveImageAsync(new NodeAction.RemoveImage(SharedDaemon.Image, "test"), Cancellation));
        Assert.Equal("NotManaged", image.Reason);
        await shared.Daemon.CtrAsync("tasks", "rm", "-f", id);
        await shared.Daemon.CtrAsync("containers", "rm", id);
    }

    [Fact]
    public async Task A_killed_process_is_told_as_an_exit()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var spec = RuntimeNode.Spec(Forever);
        var running = await node.CreateAsync(spec);
        Signals.Send(running.Pid, Signals.Kill);
        await node.UntilToldAsync(told => told is RuntimeEvent.Changed { Exit: true } changed && changed.Key == spec.Key, "the exit is told");
        Assert.Equal(137, (await node.UntilExitedAsync(spec)).ExitCode);
        await node.RemoveAsync(spec);
    }

    [Fact]
    public async Task A_wanted_restart_is_told_and_no_other_label_of_ours()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var spec = RuntimeNode.Spec(Forever);
        var running = await node.CreateAsync(spec);
        Assert.False(running.RestartWanted);
        await node.UntilNotedAsync(running); // an update after the wish would be told as well
        var told = node.Events.Count;
        await node.Client.UpdateLabelsAsync(running.Id, new Dictionary<string, string> { ["example.org/x"] = "y" }, Cancellation);
        await node.Client.UpdateLabelsAsync(running.Id, new Dictionary<string, string> { ["reconciler.dev/restart-wanted"] = "now" }, Cancellation);
        await node.UntilToldAsync(told => told is RuntimeEvent.Changed { Exit: false } changed && changed.Key == spec.Key, "the wish is told");
        Assert.Equal(told + 1, node.Events.Count);
        Assert.True(Assert.Single(await node.ObserveAsync(spec)).RestartWanted);
        await node.RemoveAsync(spec);
    }

    [Fact]
    public async Task A_deleted_task_is_told_and_leaves_the_record()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var spec = RuntimeNode.Spec(Forever);
        var running = await node.CreateAsync(spec);
        await shared.Daemon.CtrAsync("tasks", "rm", "-f", running.Id);
        await node.UntilToldAsync(told => told is RuntimeEvent.Changed changed && changed.Key == spec.Key, "the change is told");
        await node.UntilAsync(spec, container => !container.IsLive, "it is seen as dead");
        await node.RemoveAsync(spec);
        Assert.Empty(await node.ObserveAsync(spec));
    }

    [Fact]
    public async Task A_deleted_record_is_told()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var spec = RuntimeNode.Spec("exit 0");
        var container = await node.CreateAsync(spec);
        await node.UntilExitedAsync(spec);
        await node.RecordAsync(Assert.Single(await node.ObserveAsync(spec)));
        await shared.Daemon.CtrAsync("containers", "rm", container.Id);
        await Eventually.UntilAsync(async () => (await node.ObserveAsync(spec)).Count == 0, "it is seen as gone");
    }

    [Fact]
    public async Task A_deleted_image_is_told()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var name = $"registry.test/{Names.Unique()}:1";
        await shared.Daemon.CtrAsync("images", "tag", SharedDaemon.Image, name);
        var key = ResourceKey.Image(name);
        await node.UntilToldAsync(told => told is RuntimeEvent.Changed changed && changed.Key == key, "the image is told");
        Assert.NotNull((await node.Runtime.ObserveAsync(key, null, Cancellation)).Image);
        await shared.Daemon.CtrAsync("images", "rm", name);
        await Eventually.UntilAsync(async () => (await node.Runtime.ObserveAsync(key, null, Cancellation)).Image is null, "the image is seen as gone");
    }

    [Fact]
    public async Task A_killed_shim_never_leaves_two_copies()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var spec = RuntimeNode.Spec(Forever);
        var running = await node.CreateAsync(spec);
        var shim = ShimOf(running.Pid);
        Assert.Contains(shim, Leftovers.ShimsOf(shared.Daemon.Address));
        Signals.Send(shim, Signals.Kill);
        await node.UntilToldAsync(told => told is RuntimeEvent.Changed changed && changed.Key == spec.Key, "the change is told");
        await Eventually.UntilAsync(
            async () =>
            {
                var seen = Assert.Single(await node.ObserveAsync(spec));
                if (seen.IsLive) return false;
                Assert.DoesNotContain(running.Pid, Leftovers.ProcessesOf(shared.Daemon.Namespace)); // said dead only once it is
                return true;
            },
            "it is seen as dead");
        await node.RemoveAsync(spec);
    }

    [Fact]
    public async Task A_restarted_daemon_is_a_gap_and_no_exit()
    {
        await using var daemon = await ContainerdDaemon.StartAsync();
        await SharedDaemon.ImportAsync(daemon);
        await using var node = await RuntimeNode.StartAsync(daemon);
        var spec = RuntimeNode.Spec("while [ ! -e /data/go ]; do sleep 0.1; done; exit 5", LifecycleTests.WithData);
        var before = await node.CreateAsync(spec);
        var gaps = node.Events.Count(told => told is RuntimeEvent.Gap);

        await daemon.KillAsync();
        var down = await Assert.ThrowsAsync<RuntimeException>(() => node.Runtime.ListAsync(Cancellation));
        Assert.Equal(RuntimeErrorKind.Unavailable, down.Kind);
        await daemon.StartAgainAsync();
        await Eventually.UntilAsync(() => node.Events.Count(told => told is RuntimeEvent.Gap) > gaps, "the gap is told");
        await node.Runtime.RecoverAsync(Cancellation);
        var after = Assert.Single(await node.ObserveAsync(spec));
        Assert.Equal((before.Pid, ContainerState.Running), (after.Pid, after.State));
        Assert.DoesNotContain(node.Events, told => told is RuntimeEvent.Changed { Exit: true });

        await File.WriteAllTextAsync(Path.Combine(node.Folder, "state/volumes/test", spec.Workload, "data/go"), "", Cancellation);
        await node.UntilToldAsync(told => told is RuntimeEvent.Changed { Exit: true } changed && changed.Key == spec.Key, "the exit is told");
        Assert.Equal(5, (await node.UntilExitedAsync(spec)).ExitCode);
        await node.RemoveAsync(spec);
    }

    /// <summary>The parent of a container's first process.</summary>
    internal static int ShimOf(int pid) =>
        int.Parse(File.ReadAllText($"/proc/{pid}/stat").Split(") ")[1].Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture);
}
