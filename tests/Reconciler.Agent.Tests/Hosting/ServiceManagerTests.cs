using Microsoft.Extensions.Time.Testing;
using Reconciler.Agent.Hosting;
using Reconciler.Agent.State;
using Reconciler.Core.Model;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.Hosting;

public sealed class ServiceManagerTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static ServiceManager Of(string? socket, string? usec = null, string? pid = null) => ServiceManager.FromEnvironment(name => name switch
    {
        "NOTIFY_SOCKET" => socket,
        "WATCHDOG_USEC" => usec,
        "WATCHDOG_PID" => pid,
        _ => null,
    });

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Ready_is_said_once_and_every_new_status(bool isAbstract)
    {
        using var socket = new NotifySocket(isAbstract ? "@rct-" + Names.Unique() : _folder["notify"]);
        using var manager = Of(socket.Address);

        manager.Tell("waiting for\ncontainerd");
        manager.Tell("waiting for containerd");
        manager.Tell("reconciling");
        manager.Stopping();

        await socket.HearsAsync("STOPPING=1");
        Assert.Equal(["READY=1", "STATUS=waiting for containerd", "STATUS=reconciling", "STOPPING=1"], socket.Lines.Take(4));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("/")]
    [InlineData("vsock:2:1234")]
    [InlineData("/nowhere/notify")]
    public async Task Without_a_manager_all_is_silent(string? socket)
    {
        using var manager = Of(socket, "1000000");
        manager.Tell("reconciling");
        manager.Stopping();
        using var stop = new CancellationTokenSource();
        var watch = manager.WatchAsync(_ => Task.CompletedTask, TimeProvider.System, stop.Token);
        await stop.CancelAsync();
        if (manager.WatchdogPeriod is null) await watch;
        else await Assert.ThrowsAnyAsync<OperationCanceledException>(() => watch); // no failure of ours while nobody listens
    }

    [Theory]
    [InlineData("30000000", null, 30.0)]
    [InlineData("30000000", "ours", 30.0)]
    [InlineData("30000000", "1", null)] // another process of the unit is meant
    [InlineData("0", null, null)]
    [InlineData("soon", null, null)]
    [InlineData(null, null, null)]
    public void The_watchdog_is_taken_from_the_environment(string? usec, string? pid, double? seconds)
    {
        using var manager = Of("/run/notify", usec, pid == "ours" ? $"{Environment.ProcessId}" : pid);
        Assert.Equal(seconds, manager.WatchdogPeriod?.TotalSeconds);
    }

    [Fact]
    public async Task The_watchdog_hears_of_each_turn_and_nothing_of_one_that_hangs()
    {
        using var socket = new NotifySocket(_folder["notify"]);
        using var manager = Of(socket.Address, "30000000");
        var time = new FakeTimeProvider();
        using var stop = new CancellationTokenSource();
        var turn = Task.CompletedTask;
        var begun = 0;
        var watch = manager.WatchAsync(
            cancellation =>
            {
                Interlocked.Increment(ref begun);
                return Volatile.Read(ref turn).WaitAsync(cancellation);
            },
            time,
            stop.Token);
        await Eventually.UntilAsync(() => socket.Count("WATCHDOG=1") == 1, "it says so at once");

        for (var times = 2; times <= 4; times++)
        {
            var expected = times;
            await PassAsync(time, () => Volatile.Read(ref begun) == expected);
            await Eventually.UntilAsync(() => socket.Count("WATCHDOG=1") == expected, "and three times in its period");
        }
        var hung = new TaskCompletionSource();
        Volatile.Write(ref turn, hung.Task);
        await PassAsync(time, () => Volatile.Read(ref begun) == 5);
        time.Advance(TimeSpan.FromMinutes(10));
        manager.Tell("after it"); // one socket keeps the order: what was said before has arrived, too
        await socket.HearsAsync("STATUS=after it");
        Assert.Equal(4, socket.Count("WATCHDOG=1"));

        hung.SetResult();
        await Eventually.UntilAsync(() => socket.Count("WATCHDOG=1") == 5, "it goes on when the turn ends");
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => watch);
    }

    [Fact]
    public void The_status_counts_containers_and_names_the_reasons_of_those_that_wait()
    {
        Assert.Equal("reconciling: 0 ready, 0 waiting", ServiceStatus.Line([]));
        KeyState[] keys =
        [
            new() { Kind = ResourceKind.Container, Name = "a/a", Ready = true, Reason = "Running" },
            new() { Kind = ResourceKind.Container, Name = "b/b", Reason = "Pulling" },
            new() { Kind = ResourceKind.Container, Name = "c/c", Reason = "CrashLoopBackOff" },
            new() { Kind = ResourceKind.Container, Name = "d/d", Reason = "CrashLoopBackOff" },
            new() { Kind = ResourceKind.Image, Name = "i", Reason = "Pulling" },
        ];
        Assert.Equal("reconciling: 1 ready, 3 waiting (CrashLoopBackOff 2, Pulling 1)", ServiceStatus.Line(keys));
    }

    /// <summary>The pause begins on another thread: time goes on in steps of one until it is over.</summary>
    private static Task PassAsync(FakeTimeProvider time, Func<bool> begun) => Eventually.UntilAsync(
        () =>
        {
            if (!begun()) time.Advance(TimeSpan.FromSeconds(10));
            return begun();
        },
        "the pause is over");
}
