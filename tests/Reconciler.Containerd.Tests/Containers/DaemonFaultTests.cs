using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.Containerd.Tests.Containers;

/// <summary>Daemons and shims that die; each test has a daemon of its own.</summary>
public sealed class DaemonFaultTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_restart_of_the_daemon_is_no_exit_and_the_exit_is_told_once(bool killed)
    {
        await using var daemon = await StartAsync();
        await using var client = await SharedDaemon.ConnectAsync(daemon);
        var hook = new HookLog();
        client.SetStopHooks(hook.TellAsync);
        var (id, pid) = await Scripts.HeldAsync(client, 9);

        if (killed) await daemon.KillAsync();
        else await daemon.StopAsync();
        var error = await Assert.ThrowsAsync<ContainerdException>(() => client.GetTaskAsync(id, Stop));
        Assert.True(error.IsUnavailable, error.ToString());
        Assert.True((await client.ProbeContainerAsync(id, TimeSpan.FromMilliseconds(300), Stop)).Error!.IsTimeout);
        await daemon.StartAgainAsync();
        Assert.Equal(TaskStatus.Running, (await client.GetTaskAsync(id, Stop))!.Status);
        Assert.Empty(hook.Told);
        Scripts.Let(pid);

        Assert.Equal(9, (await client.ProbeContainerAsync(id, Scripts.Long, Stop)).ExitCode);
        await hook.FirstAsync(id);
        await client.DestroyContainerAsync(id, null, Stop);
        Assert.Equal(9, Assert.Single(hook.Told).Exit.ExitCode);
        await Leftover.NothingAsync(client, daemon, id);
    }

    [Fact]
    public async Task An_exit_while_the_daemon_is_away_is_told_when_it_is_back()
    {
        await using var daemon = await StartAsync();
        await using var client = await SharedDaemon.ConnectAsync(daemon);
        var hook = new HookLog();
        client.SetStopHooks(hook.TellAsync);
        var (id, pid) = await Scripts.HeldAsync(client, 9);
        var version = (await client.VersionAsync(Stop)).Version;

        await daemon.KillAsync();
        Scripts.Let(pid);
        await Eventually.UntilAsync(() => !LiveProcess.Is(pid), "the process ends");
        await daemon.StartAgainAsync();
        var exit = await client.ProbeContainerAsync(id, Scripts.Long, Stop);
        await hook.FirstAsync(id);

        // 1.7 and later forget the code of an exit in their absence.
        int? expected = version.TrimStart('v').StartsWith("1.6", StringComparison.Ordinal) ? 9 : null;
        Assert.Equal((expected, false), (exit.ExitCode, exit.HasError));
        Assert.Single(hook.Told);
        await client.DestroyContainerAsync(id, null, Stop);
        await Leftover.NothingAsync(client, daemon, id);
    }

    [Fact]
    public async Task A_killed_shim_is_an_exit_without_a_code_once_the_process_is_dead()
    {
        await using var daemon = await StartAsync();
        await using var client = await SharedDaemon.ConnectAsync(daemon);
        var pid = 0;
        var aliveWhenTold = false;
        var hook = new HookLog { OnTold = () => aliveWhenTold = LiveProcess.Is(pid) };
        client.SetStopHooks(hook.TellAsync);
        (var id, pid) = await Scripts.HeldAsync(client, 0);

        Testing.Signals.Send(Assert.Single(Leftovers.ShimsOf(daemon.Address)), Testing.Signals.Kill);
        var exit = await client.ProbeContainerAsync(id, Scripts.Long, Stop);
        await hook.FirstAsync(id);

        // The daemon may still have told its waiter the code that it makes up for such a death.
        Assert.Contains(exit.ExitCode, new int?[] { null, 137 });
        Assert.False(exit.HasError);
        Assert.False(aliveWhenTold);
        await client.DestroyContainerAsync(id, null, Stop);
        await Leftover.NothingAsync(client, daemon, id);
        Assert.Single(hook.Told);
    }

    [Fact]
    public async Task A_container_whose_shim_was_just_killed_is_dead_when_it_is_destroyed()
    {
        await using var daemon = await StartAsync();
        await using var maker = await SharedDaemon.ConnectAsync(daemon);
        await using var client = await SharedDaemon.ConnectAsync(daemon);
        var (id, pid) = await Scripts.HeldAsync(maker, 0);

        Testing.Signals.Send(Assert.Single(Leftovers.ShimsOf(daemon.Address)), Testing.Signals.Kill);
        await client.DestroyContainerAsync(id, new StopOptions { Grace = TimeSpan.Zero }, Stop);

        Assert.False(LiveProcess.Is(pid));
        await Leftover.NothingAsync(client, daemon, id);
    }

    [Fact]
    public async Task A_task_delete_after_the_death_of_a_shim_waits_for_the_process()
    {
        await using var daemon = await StartAsync();
        await using var client = await SharedDaemon.ConnectAsync(daemon);
        var (id, pid) = await Scripts.HeldAsync(client, 0);

        Testing.Signals.Send(Assert.Single(Leftovers.ShimsOf(daemon.Address)), Testing.Signals.Kill);
        await Eventually.UntilAsync(async () => await client.GetTaskAsync(id, Stop) is null, "the task is gone");
        await client.DeleteTaskAsync(id, Stop);

        Assert.False(LiveProcess.Is(pid));
        await client.DeleteContainerAsync(id, Stop);
        await Leftover.NothingAsync(client, daemon, id);
    }

    [Fact]
    public async Task Daemon_and_shim_killed_together_is_an_exit_and_nothing_is_left()
    {
        await using var daemon = await StartAsync();
        await using var client = await SharedDaemon.ConnectAsync(daemon);
        var hook = new HookLog();
        client.SetStopHooks(hook.TellAsync);
        var (id, pid) = await Scripts.HeldAsync(client, 0);
        var shim = Assert.Single(Leftovers.ShimsOf(daemon.Address));

        await daemon.KillAsync();
        Testing.Signals.Send(shim, Testing.Signals.Kill);
        await daemon.StartAgainAsync();
        var exit = await client.ProbeContainerAsync(id, Scripts.Long, Stop);
        await hook.FirstAsync(id);

        Assert.False(exit.HasError);
        Assert.False(LiveProcess.Is(pid));
        Assert.Single(hook.Told);
        await client.DestroyContainerAsync(id, null, Stop);
        await Leftover.NothingAsync(client, daemon, id);
    }

    [Fact]
    public async Task A_destroy_goes_on_over_a_restart_of_the_daemon()
    {
        await using var daemon = await StartAsync();
        var recorder = new RpcRecorder();
        await using var client = await SharedDaemon.ConnectAsync(daemon, recorder);
        var (id, pid) = await Scripts.HeldAsync(client, 9);
        var destroying = client.DestroyContainerAsync(id, new StopOptions { Signal = null, Grace = Scripts.Long }, Stop);
        await Eventually.UntilAsync(() => recorder.Answered.Contains("Tasks.Get"), "the destroy waits for the exit");

        await daemon.KillAsync();
        await daemon.StartAgainAsync();
        Scripts.Let(pid);

        Assert.Equal(9, (await destroying).ExitCode);
        await Leftover.NothingAsync(client, daemon, id);
    }

    [Fact]
    public async Task A_destroy_that_a_hung_shim_holds_up_is_a_timeout_and_can_be_repeated()
    {
        await using var daemon = await StartAsync();
        await using var maker = await SharedDaemon.ConnectAsync(daemon);
        await using var client = await ContainerdClient.ConnectAsync(SharedDaemon.OptionsFor(daemon) with { CallTimeout = TimeSpan.FromSeconds(5) }, Stop);
        var (id, pid) = await Scripts.HeldAsync(maker, 0);
        var shim = Assert.Single(Leftovers.ShimsOf(daemon.Address));
        Testing.Signals.Send(shim, Testing.Signals.Stop);
        try
        {
            var error = await Assert.ThrowsAsync<ContainerdException>(
                () => client.DestroyContainerAsync(id, new StopOptions { Grace = TimeSpan.Zero }, Stop));
            Assert.True(error.IsTimeout, error.ToString());
            Assert.Equal(id, (await client.GetContainerAsync(id, Stop)).Id);
            Assert.True(LiveProcess.Is(pid));
        }
        finally
        {
            Testing.Signals.Send(shim, Testing.Signals.Continue);
        }

        await maker.DestroyContainerAsync(id, new StopOptions { Grace = TimeSpan.Zero }, Stop);

        Assert.False(LiveProcess.Is(pid));
        await Leftover.NothingAsync(maker, daemon, id);
    }

    [Theory]
    [InlineData("Snapshots.Prepare")]
    [InlineData("Tasks.Create")]
    [InlineData("Tasks.Start")]
    public async Task A_create_is_rolled_back_over_a_restart_of_the_daemon(string method)
    {
        await using var daemon = await StartAsync();
        var recorder = new RpcRecorder();
        await using var client = await SharedDaemon.ConnectAsync(daemon, recorder);
        var id = SharedDaemon.NewId();
        var dead = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        recorder.Before = name =>
        {
            if (name != method || !dead.TrySetResult()) return;
            Testing.Signals.Send(daemon.Pid, Testing.Signals.Kill);
        };
        var creating = client.CreateContainerAsync(SharedDaemon.Sh(id, "sleep 1000"), Stop);
        await dead.Task.WaitAsync(Scripts.Long, Stop);
        await daemon.KillAsync();
        await daemon.StartAgainAsync();

        await Assert.ThrowsAsync<ContainerdException>(() => creating);

        await Leftover.NothingAsync(client, daemon, id);
    }

    private static async Task<ContainerdDaemon> StartAsync()
    {
        var daemon = await ContainerdDaemon.StartAsync();
        await SharedDaemon.ImportAsync(daemon, TestImages.Busybox(), SharedDaemon.Busybox);
        return daemon;
    }
}
