namespace Reconciler.Containerd.Tests.Containers;

public sealed class ExitAndPidTests(SharedDaemon shared)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_exit_is_the_one_that_the_event_tells()
    {
        await using var client = await shared.ConnectAsync();
        await using var events = client.EventsAsync([$"topic==\"/tasks/exit\",namespace=={shared.Daemon.Namespace}"], Stop).GetAsyncEnumerator(Stop);
        Assert.True(await events.MoveNextAsync().AsTask().WaitAsync(Scripts.Long, Stop)); // subscribed
        var id = SharedDaemon.NewId();
        await client.CreateContainerAsync(SharedDaemon.Sh(id, "exit 143"), Stop);

        var exit = await client.ProbeContainerAsync(id, Scripts.Long, Stop);

        ContainerdEvent.TaskExit? told = null;
        while (told?.ContainerId != id)
        {
            Assert.True(await events.MoveNextAsync().AsTask().WaitAsync(Scripts.Long, Stop));
            told = events.Current as ContainerdEvent.TaskExit;
        }
        Assert.Equal((143, 143), (exit.ExitCode, told.ExitCode));
        Assert.Equal(told.ExitedAt, exit.ExitTime);
        await client.DestroyContainerAsync(id, null, Stop);
    }

    [Fact]
    public async Task Pids_are_those_of_the_first_process_and_of_every_other()
    {
        await using var client = await shared.ConnectAsync();
        var (id, pid) = await Scripts.HeldAsync(client, 0);
        var first = await client.ExecContainerAsync(Sleep(id, "one"), Stop);
        var second = await client.ExecContainerAsync(Sleep(id, "two"), Stop);

        var pids = await client.ContainerPidsAsync(id, Stop);

        Assert.Superset(new HashSet<int> { pid, first.Pid, second.Pid }, new HashSet<int>(pids));
        Assert.Equal(pids.Count, pids.Distinct().Count());
        await client.DestroyContainerAsync(id, new StopOptions { Grace = TimeSpan.Zero }, Stop);
    }

    private static ExecProcess Sleep(string id, string execId) =>
        new() { ContainerId = id, ExecId = execId, Process = new OciProcess { Args = ["sleep", "1000"] } };
}
