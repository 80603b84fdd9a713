using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Grpc.Core.Interceptors;
using Reconciler.Containerd.Api.Tasks;
using Reconciler.Testing;

namespace Reconciler.Containerd.Tests.Containers;

public sealed class WatchTests(SharedDaemon shared)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(143)]
    [InlineData(255)]
    public async Task The_exit_has_its_code_and_containerds_time(int code)
    {
        await using var client = await shared.ConnectAsync();
        var id = SharedDaemon.NewId();
        await client.CreateContainerAsync(SharedDaemon.Sh(id, $"exit {code}"), Stop);

        var exit = await client.ProbeContainerAsync(id, Scripts.Long, Stop);

        var task = await client.GetTaskAsync(id, Stop);
        Assert.Equal((code, task!.ExitedAt!.Value), (exit.ExitCode!.Value, exit.ExitTime));
        Assert.False(exit.HasError);
        await client.DestroyContainerAsync(id, null, Stop);
    }

    [Fact]
    public async Task A_killed_one_has_128_and_the_signal()
    {
        await using var client = await shared.ConnectAsync();
        var (id, _) = await Scripts.HeldAsync(client, 0);
        await client.KillAsync(id, 9, cancellation: Stop);

        Assert.Equal(137, (await client.ProbeContainerAsync(id, Scripts.Long, Stop)).ExitCode);
        await client.DestroyContainerAsync(id, null, Stop);
    }

    [Fact]
    public async Task A_kill_that_the_daemon_makes_up_is_not_believed_while_the_process_lives()
    {
        var liar = new Liar();
        await using var client = await ContainerdClient.OpenAsync(SharedDaemon.OptionsFor(shared.Daemon), liar, Stop);
        var (id, pid) = await Scripts.HeldAsync(client, 5);

        Assert.True((await client.ProbeContainerAsync(id, TimeSpan.FromMilliseconds(300), Stop)).Error!.IsTimeout);
        await Eventually.UntilAsync(() => liar.Waits > 1, "the exit is waited for again");
        Scripts.Let(pid);

        Assert.Equal(5, (await client.ProbeContainerAsync(id, Scripts.Long, Stop)).ExitCode);
        await client.DestroyContainerAsync(id, null, Stop);
    }

    /// <summary>Answers the first wait as containerd does for a task whose shim died.</summary>
    private sealed class Liar : Interceptor
    {
        private int _waits;

        public int Waits => Volatile.Read(ref _waits);

        public override AsyncUnaryCall<TResponse> AsyncUnaryCall<TRequest, TResponse>(
            TRequest request, ClientInterceptorContext<TRequest, TResponse> context, AsyncUnaryCallContinuation<TRequest, TResponse> continuation)
        {
            var call = continuation(request, context);
            if (request is not WaitRequest || Interlocked.Increment(ref _waits) > 1) return call;
            var lie = new WaitResponse { ExitStatus = 137, ExitedAt = Timestamp.FromDateTimeOffset(DateTimeOffset.UtcNow) };
            return new AsyncUnaryCall<TResponse>(Task.FromResult((TResponse)(object)lie), call.ResponseHeadersAsync, call.GetStatus, call.GetTrailers, call.Dispose);
        }
    }

    [Fact]
    public async Task Probe_makes_no_call_and_ends_at_its_limit_or_by_cancel()
    {
        var recorder = new RpcRecorder();
        await using var client = await SharedDaemon.ConnectAsync(shared.Daemon, recorder);
        var (id, _) = await Scripts.HeldAsync(client, 0);
        var calls = recorder.Methods.Count;

        var running = await client.ProbeContainerAsync(id, TimeSpan.FromMilliseconds(50), Stop);
        using var cancel = new CancellationTokenSource();
        var probing = client.ProbeContainerAsync(id, TimeSpan.Zero, cancel.Token);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => probing);
        var unknown = await client.ProbeContainerAsync("unknown", TimeSpan.Zero, Stop);
        var unknownToo = await client.ProbeContainerAsync("unknown", Scripts.Long, Stop);

        Assert.Equal((true, true, null), (running.Error!.IsTimeout, running.HasError, running.ExitCode));
        Assert.Equal(ContainerdError.ContainerNotfound, unknown.Error!.Code);
        Assert.Equal(ContainerdError.ContainerNotfound, unknownToo.Error!.Code);
        Assert.Equal(calls, recorder.Methods.Count);
        await client.DestroyContainerAsync(id, new StopOptions { Grace = TimeSpan.Zero }, Stop);
    }

    [Fact]
    public async Task Ten_probes_get_the_same_exit_again_and_again()
    {
        await using var client = await shared.ConnectAsync();
        var (id, pid) = await Scripts.HeldAsync(client, 4);
        var probes = Enumerable.Range(0, 10).Select(_ => client.ProbeContainerAsync(id, TimeSpan.Zero, Stop)).ToList();
        Scripts.Let(pid);

        var exits = await Task.WhenAll(probes);

        Assert.All(exits, exit => Assert.Equal(4, exit.ExitCode));
        Assert.Equal(exits[0], await client.ProbeContainerAsync(id, TimeSpan.FromMilliseconds(1), Stop));
        await client.DestroyContainerAsync(id, null, Stop);
    }

    [Fact]
    public async Task Pids_are_the_hosts()
    {
        var recorder = new RpcRecorder();
        await using var client = await SharedDaemon.ConnectAsync(shared.Daemon, recorder);
        await using var other = await shared.ConnectAsync();
        var (id, pid) = await Scripts.HeldAsync(client, 0);
        var calls = recorder.Methods.Count;

        Assert.Equal(pid, await client.ContainerPidAsync(id, Stop));
        Assert.Equal(calls, recorder.Methods.Count);
        Assert.Equal(pid, await other.ContainerPidAsync(id, Stop));
        Assert.Contains(pid, await client.ContainerPidsAsync(id, Stop));
        Assert.Equal(["Tasks.ListPids"], recorder.Methods.Skip(calls));
        Assert.Contains(id, await File.ReadAllTextAsync($"/proc/{pid}/cgroup", Stop), StringComparison.Ordinal);

        Scripts.Let(pid);
        await client.ProbeContainerAsync(id, Scripts.Long, Stop);
        var ended = await Assert.ThrowsAsync<ContainerdException>(() => client.ContainerPidAsync(id, Stop));
        Assert.Equal(ContainerdError.TaskNotfound, ended.Code);
        await client.DestroyContainerAsync(id, null, Stop);
        var gone = await Assert.ThrowsAsync<ContainerdException>(() => client.ContainerPidAsync(id, Stop));
        Assert.Equal(ContainerdError.ContainerNotfound, gone.Code);
        gone = await Assert.ThrowsAsync<ContainerdException>(() => client.ContainerPidsAsync(id, Stop));
        Assert.Equal(ContainerdError.ContainerNotfound, gone.Code);
    }

    [Fact]
    public async Task Hooks_are_told_once_in_order_and_a_failing_one_hides_no_other()
    {
        await using var client = await shared.ConnectAsync();
        var order = new List<string>();
        var last = new HookLog { OnTold = () => order.Add("third") };
        client.SetStopHooks((_, _, _) => throw new InvalidOperationException("replaced as a whole"));
        client.SetStopHooks(
            async (_, _, _) =>
            {
                await Task.Yield();
                order.Add("first");
            },
            (_, _, _) =>
            {
                order.Add("second");
                throw new InvalidOperationException("a hook fails");
            },
            last.TellAsync);
        var (id, pid) = await Scripts.HeldAsync(client, 8);
        Scripts.Let(pid);

        await last.FirstAsync(id);
        await client.RecoverContainerAsync(id, null, Stop);
        await client.DestroyContainerAsync(id, null, Stop);

        Assert.Equal(["first", "second", "third"], order);
        Assert.Equal((id, 8), (last.Told[0].Id, last.Told[0].Exit.ExitCode));
    }

    [Fact]
    public async Task A_hanging_hook_keeps_no_other_container_and_no_probe_waiting()
    {
        await using var client = await shared.ConnectAsync();
        var told = new HookLog();
        var hung = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        client.SetStopHooks(async (id, exit, cancellation) =>
        {
            if (hung.TrySetResult(id)) await Task.Delay(Timeout.Infinite, cancellation);
            await told.TellAsync(id, exit, cancellation);
        });
        var (first, second) = (await Scripts.HeldAsync(client, 1), await Scripts.HeldAsync(client, 2));
        Scripts.Let(first.Pid);
        Assert.Equal(first.Id, await hung.Task.WaitAsync(Scripts.Long, Stop));

        Assert.Equal(1, (await client.ProbeContainerAsync(first.Id, Scripts.Long, Stop)).ExitCode);
        Scripts.Let(second.Pid);
        await told.FirstAsync(second.Id);

        await client.DestroyContainerAsync(first.Id, null, Stop);
        await client.DestroyContainerAsync(second.Id, null, Stop);
    }

    [Fact]
    public async Task A_closed_client_tells_no_exit_and_the_container_runs_on()
    {
        await using var other = await shared.ConnectAsync();
        var client = await shared.ConnectAsync();
        var hook = new HookLog();
        client.SetStopHooks(hook.TellAsync);
        var (id, pid) = await Scripts.HeldAsync(client, 0);
        var probing = client.ProbeContainerAsync(id, TimeSpan.Zero, Stop);
        var waiting = client.WaitAsync(id, Stop);

        await client.DisposeAsync();

        await Assert.ThrowsAsync<ObjectDisposedException>(() => probing);
        await Assert.ThrowsAnyAsync<Exception>(() => waiting);
        Assert.Empty(hook.Told);
        Assert.Equal((TaskStatus.Running, pid), ((await other.GetTaskAsync(id, Stop))!.Status, pid));
        await other.DestroyContainerAsync(id, new StopOptions { Grace = TimeSpan.Zero }, Stop);
    }

    [Fact]
    public async Task Wait_tells_the_exit_of_any_container_and_null_for_none()
    {
        await using var maker = await shared.ConnectAsync();
        await using var client = await shared.ConnectAsync();
        var (id, pid) = await Scripts.HeldAsync(maker, 6);
        using var cancel = new CancellationTokenSource();
        var cut = client.WaitAsync(id, cancel.Token);
        var waiting = client.WaitAsync(id, Stop);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cut);
        Scripts.Let(pid);

        Assert.Equal(6, (await waiting)!.ExitCode);
        Assert.Equal(6, (await client.WaitAsync(id, Stop))!.ExitCode);
        Assert.True((await client.ProbeContainerAsync(id, TimeSpan.Zero, Stop)).Error!.IsNotfound);
        await maker.DestroyContainerAsync(id, null, Stop);
        Assert.Null(await client.WaitAsync(id, Stop));
    }
}
