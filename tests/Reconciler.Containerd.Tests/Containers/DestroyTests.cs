using Reconciler.Containerd.Api.Tasks;

namespace Reconciler.Containerd.Tests.Containers;

public sealed class DestroyTests(SharedDaemon shared)
{
    private static readonly TimeSpan Long = TimeSpan.FromMinutes(2);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static string Polite => "trap 'exit 5' TERM; touch /tmp/ready; while true; do sleep 0.05; done";

    private static string Stubborn => "trap '' TERM; touch /tmp/ready; while true; do sleep 0.05; done";

    [Fact]
    public async Task A_polite_one_ends_by_its_signal_and_nothing_is_left()
    {
        var recorder = new RpcRecorder();
        await using var client = await SharedDaemon.ConnectAsync(shared.Daemon, recorder);
        var id = await StartAsync(client, Polite);

        var exit = await client.DestroyContainerAsync(id, new StopOptions { Grace = Long }, Stop);

        Assert.Equal(5, exit.ExitCode);
        Assert.False(exit.HasError);
        var kill = Assert.Single(recorder.Requests<KillRequest>());
        Assert.Equal((15u, false), (kill.Signal, kill.All));
        await Leftover.NothingAsync(client, shared.Daemon, id);
    }

    [Fact]
    public async Task A_stubborn_one_is_killed_after_the_grace_period()
    {
        var recorder = new RpcRecorder();
        await using var client = await SharedDaemon.ConnectAsync(shared.Daemon, recorder);
        var id = await StartAsync(client, Stubborn);

        var exit = await client.DestroyContainerAsync(id, new StopOptions { Grace = TimeSpan.FromMilliseconds(500) }, Stop);

        Assert.Equal(137, exit.ExitCode);
        Assert.Equal([(15u, false), (9u, true)], recorder.Requests<KillRequest>().Select(request => (request.Signal, request.All)));
        await Leftover.NothingAsync(client, shared.Daemon, id);
    }

    [Fact]
    public async Task Without_grace_only_the_kill_is_sent()
    {
        var recorder = new RpcRecorder();
        await using var client = await SharedDaemon.ConnectAsync(shared.Daemon, recorder);
        var id = await StartAsync(client, Polite);

        var exit = await client.DestroyContainerAsync(id, new StopOptions { Grace = TimeSpan.Zero }, Stop);

        Assert.Equal(137, exit.ExitCode);
        Assert.Equal(9u, Assert.Single(recorder.Requests<KillRequest>()).Signal);
    }

    [Fact]
    public async Task The_containers_own_stop_signal_is_used_on_demand()
    {
        await using var client = await shared.ConnectAsync();
        var id = await StartAsync(client, "trap 'exit 6' USR1; touch /tmp/ready; while true; do sleep 0.05; done", "SIGUSR1");

        var exit = await client.DestroyContainerAsync(id, new StopOptions { UseImageSignal = true, Grace = Long }, Stop);

        Assert.Equal(6, exit.ExitCode);
    }

    [Fact]
    public async Task One_that_ended_by_itself_keeps_everything_until_it_is_destroyed()
    {
        await using var client = await shared.ConnectAsync();
        var id = SharedDaemon.NewId();
        await client.CreateContainerAsync(SharedDaemon.Sh(id, "exit 3"), Stop);
        var seen = await client.ProbeContainerAsync(id, Long, Stop);

        Assert.Equal(TaskStatus.Stopped, (await client.GetTaskAsync(id, Stop))!.Status);
        Assert.Single(await client.ListSnapshotsAsync(Stop), snapshot => snapshot.Key == id);
        var exit = await client.DestroyContainerAsync(id, null, Stop);

        Assert.Equal(seen, exit);
        Assert.Equal(3, exit.ExitCode);
        await Leftover.NothingAsync(client, shared.Daemon, id);
        Assert.True((await client.ProbeContainerAsync(id, TimeSpan.Zero, Stop)).Error!.IsNotfound);
    }

    [Fact]
    public async Task An_unwatched_one_is_ended_without_a_hook()
    {
        await using var maker = await shared.ConnectAsync();
        await using var client = await shared.ConnectAsync();
        var told = 0;
        client.SetStopHooks((_, _, _) => Task.FromResult(Interlocked.Increment(ref told)));
        var id = await StartAsync(maker, Polite);

        var exit = await client.DestroyContainerAsync(id, new StopOptions { Grace = Long }, Stop);

        Assert.Equal(5, exit.ExitCode);
        Assert.Equal(0, told);
        await Leftover.NothingAsync(client, shared.Daemon, id);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_paused_one_gets_its_signal(bool polite)
    {
        await using var client = await shared.ConnectAsync();
        var id = await StartAsync(client, polite ? Polite : Stubborn);
        await shared.Daemon.PauseAsync(id);

        var exit = await client.DestroyContainerAsync(id, new StopOptions { Grace = polite ? Long : TimeSpan.FromMilliseconds(300) }, Stop);

        Assert.Equal(polite ? 5 : 137, exit.ExitCode);
        await Leftover.NothingAsync(client, shared.Daemon, id);
    }

    [Fact]
    public async Task One_without_a_task_is_removed()
    {
        await using var client = await shared.ConnectAsync();
        var id = await StartAsync(client, Polite);
        await client.KillAsync(id, 9, all: true, Stop);
        await client.ProbeContainerAsync(id, Long, Stop);
        Assert.Equal(137, (await client.DeleteTaskAsync(id, Stop))!.ExitCode);
        Assert.Null(await client.DeleteTaskAsync(id, Stop));

        var exit = await client.DestroyContainerAsync(id, null, Stop);

        Assert.Equal(137, exit.ExitCode);
        await Leftover.NothingAsync(client, shared.Daemon, id);
    }

    [Fact]
    public async Task One_that_was_never_started_is_removed()
    {
        await using var client = await shared.ConnectAsync();
        var id = SharedDaemon.NewId();
        await shared.Daemon.CtrAsync("containers", "create", SharedDaemon.Busybox, id, "sleep", "1000");

        var exit = await client.DestroyContainerAsync(id, null, Stop);

        Assert.Null(exit.ExitCode);
        await Leftover.NothingAsync(client, shared.Daemon, id);
    }

    [Fact]
    public async Task An_unknown_one_is_told()
    {
        await using var client = await shared.ConnectAsync();

        var error = await Assert.ThrowsAsync<ContainerdException>(() => client.DestroyContainerAsync(SharedDaemon.NewId(), null, Stop));

        Assert.Equal(ContainerdError.ContainerNotfound, error.Code);
    }

    [Fact]
    public async Task A_busy_id_fails_at_once_or_waits_as_asked()
    {
        await using var client = await shared.ConnectAsync();
        await using var patient = await ContainerdClient.ConnectAsync(SharedDaemon.OptionsFor(shared.Daemon) with { LockTimeout = Long }, Stop);
        var (first, second) = (await StartAsync(client, Polite), await StartAsync(patient, Polite));
        var (inside, go) = (new TaskCompletionSource(), new TaskCompletionSource());
        var held = new StopOptions
        {
            Grace = Long,
            BeforeDelete = async (_, _) =>
            {
                inside.TrySetResult();
                await go.Task;
            },
        };
        var destroying = client.DestroyContainerAsync(first, held, Stop);
        await inside.Task.WaitAsync(Long, Stop);

        var error = await Assert.ThrowsAsync<ContainerdException>(() => client.DestroyContainerAsync(first, null, Stop));
        Assert.True(error.IsTrylockFailed);
        await Assert.ThrowsAsync<ContainerdException>(() => client.RecoverContainerAsync(first, null, Stop));
        go.SetResult();
        await destroying;

        var both = await Task.WhenAll(
            Outcome(patient.DestroyContainerAsync(second, new StopOptions { Grace = Long }, Stop)),
            Outcome(patient.DestroyContainerAsync(second, new StopOptions { Grace = Long }, Stop)));
        Assert.Equal([null, ContainerdError.ContainerNotfound], both.Order());

        static async Task<ContainerdError?> Outcome(Task<ExitMessage> task)
        {
            try
            {
                await task;
                return null;
            }
            catch (ContainerdException e)
            {
                return e.Code;
            }
        }
    }

    [Fact]
    public async Task Nothing_is_deleted_when_the_exit_cannot_be_noted()
    {
        await using var client = await shared.ConnectAsync();
        var id = await StartAsync(client, Polite);
        var options = new StopOptions { Grace = Long, BeforeDelete = (exit, _) => throw new InvalidOperationException($"code {exit.ExitCode}") };

        var error = await Assert.ThrowsAsync<InvalidOperationException>(() => client.DestroyContainerAsync(id, options, Stop));

        Assert.Equal("code 5", error.Message);
        Assert.Equal(5, (await client.GetTaskAsync(id, Stop))!.ExitCode);
        Assert.Equal(5, (await client.DestroyContainerAsync(id, null, Stop)).ExitCode);
    }

    [Fact]
    public async Task A_record_with_a_task_is_not_deleted()
    {
        await using var client = await shared.ConnectAsync();
        var id = await StartAsync(client, Polite);

        var error = await Assert.ThrowsAsync<ContainerdException>(() => client.DeleteContainerAsync(id, Stop));

        Assert.Null(error.Code);
        Assert.Equal(TaskStatus.Running, (await client.GetTaskAsync(id, Stop))!.Status);
        await Assert.ThrowsAsync<ContainerdException>(() => client.DeleteTaskAsync(id, Stop));
        await client.DestroyContainerAsync(id, new StopOptions { Grace = TimeSpan.Zero }, Stop);
        await client.DeleteContainerAsync(id, Stop);
    }

    [Fact]
    public async Task A_kill_of_an_ended_one_is_no_error_and_of_an_unknown_one_is()
    {
        await using var client = await shared.ConnectAsync();
        var id = SharedDaemon.NewId();
        await client.CreateContainerAsync(SharedDaemon.Sh(id, "true"), Stop);
        await client.ProbeContainerAsync(id, Long, Stop);

        await client.KillAsync(id, 15, cancellation: Stop);
        await client.KillAsync(id, 9, all: true, Stop);
        var error = await Assert.ThrowsAsync<ContainerdException>(() => client.KillAsync(SharedDaemon.NewId(), 15, cancellation: Stop));

        Assert.Equal(ContainerdError.TaskNotfound, error.Code);
        await client.DestroyContainerAsync(id, null, Stop);
    }

    /// <summary>Returns once the script has set its traps.</summary>
    private static async Task<string> StartAsync(ContainerdClient client, string script, string? stopSignal = null)
    {
        var id = SharedDaemon.NewId();
        var pid = await client.CreateContainerAsync(SharedDaemon.Sh(id, script) with { StopSignal = stopSignal }, Stop);
        await Testing.Eventually.UntilAsync(() => File.Exists($"/proc/{pid}/root/tmp/ready"), "the script is ready");
        return id;
    }
}
