using Reconciler.Testing.Containerd;

namespace Reconciler.Containerd.Tests.Containers;

public sealed class RecoverTests(SharedDaemon shared)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_running_one_is_watched_again_and_its_exit_told_once()
    {
        await using var maker = await shared.ConnectAsync();
        var (id, pid) = await Scripts.HeldAsync(maker, 7);
        await maker.DisposeAsync();
        var recorder = new RpcRecorder();
        await using var client = await SharedDaemon.ConnectAsync(shared.Daemon, recorder);
        var hook = new HookLog();
        client.SetStopHooks(hook.TellAsync);

        await client.RecoverContainerAsync(id, null, Stop);
        var calls = recorder.Methods.Count;
        await client.RecoverContainerAsync(id, ContainerIO.None, Stop);
        Assert.Equal(calls, recorder.Methods.Count);
        Assert.Equal(pid, await client.ContainerPidAsync(id, Stop));
        Scripts.Let(pid);

        Assert.Equal(7, (await client.ProbeContainerAsync(id, Scripts.Long, Stop)).ExitCode);
        await hook.FirstAsync(id);
        await client.DestroyContainerAsync(id, null, Stop);
        Assert.Single(hook.Told);
    }

    [Fact]
    public async Task An_exit_that_nobody_watched_is_told_with_its_code_once()
    {
        await using var maker = await shared.ConnectAsync();
        var (id, pid) = await Scripts.HeldAsync(maker, 3);
        await using var client = await shared.ConnectAsync();
        var hook = new HookLog();
        client.SetStopHooks(hook.TellAsync);
        Scripts.Let(pid);
        await maker.ProbeContainerAsync(id, Scripts.Long, Stop);

        await client.RecoverContainerAsync(id, null, Stop);
        await hook.FirstAsync(id);
        await client.RecoverContainerAsync(id, null, Stop);

        Assert.Equal(3, (await client.ProbeContainerAsync(id, Scripts.Long, Stop)).ExitCode);
        Assert.Equal(TaskStatus.Stopped, (await client.GetTaskAsync(id, Stop))!.Status);
        await client.DestroyContainerAsync(id, null, Stop);
        Assert.Equal(3, Assert.Single(hook.Told).Exit.ExitCode);
    }

    [Fact]
    public async Task One_without_a_task_is_told_and_kept()
    {
        await using var client = await shared.ConnectAsync();
        var id = SharedDaemon.NewId();
        await shared.Daemon.CtrAsync("containers", "create", SharedDaemon.Busybox, id, "sleep", "1000");

        var error = await Assert.ThrowsAsync<ContainerdException>(() => client.RecoverContainerAsync(id, null, Stop));

        Assert.Equal(ContainerdError.TaskNotfound, error.Code);
        Assert.Equal(id, (await client.GetContainerAsync(id, Stop)).Id);
        Assert.Contains(await client.ListSnapshotsAsync(Stop), snapshot => snapshot.Key == id);
        await client.DeleteContainerAsync(id, Stop);
    }

    [Fact]
    public async Task An_unknown_one_is_told()
    {
        var recorder = new RpcRecorder();
        await using var client = await SharedDaemon.ConnectAsync(shared.Daemon, recorder);

        var error = await Assert.ThrowsAsync<ContainerdException>(() => client.RecoverContainerAsync(SharedDaemon.NewId(), null, Stop));

        Assert.Equal(ContainerdError.ContainerNotfound, error.Code);
        Assert.Equal(["Version.Version", "Containers.Get"], recorder.Methods);
    }

    [Fact]
    public async Task A_hung_shim_is_a_timeout_and_the_exit_is_told_once_it_answers()
    {
        await using var daemon = await ContainerdDaemon.StartAsync();
        await SharedDaemon.ImportAsync(daemon, Testing.Images.TestImages.Busybox(), SharedDaemon.Busybox);
        await using var maker = await SharedDaemon.ConnectAsync(daemon);
        await using var client = await SharedDaemon.ConnectAsync(daemon);
        var (id, pid) = await Scripts.HeldAsync(maker, 2);
        var shim = Assert.Single(Leftovers.ShimsOf(daemon.Address));
        Testing.Signals.Send(shim, Testing.Signals.Stop);
        try
        {
            var error = await Assert.ThrowsAsync<ContainerdException>(() => client.RecoverContainerAsync(id, null, Stop));
            Assert.True(error.IsTimeout, error.ToString());
            Scripts.Let(pid);
        }
        finally
        {
            Testing.Signals.Send(shim, Testing.Signals.Continue);
        }

        Assert.Equal(2, (await client.ProbeContainerAsync(id, Scripts.Long, Stop)).ExitCode);
        await client.DestroyContainerAsync(id, null, Stop);
        await Leftover.NothingAsync(client, daemon, id);
    }
}
