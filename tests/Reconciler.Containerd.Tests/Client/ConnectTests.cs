using Microsoft.Extensions.Time.Testing;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;

namespace Reconciler.Containerd.Tests.Client;

public sealed class ConnectTests(SharedDaemon shared)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Version_is_the_running_daemons()
    {
        await using var client = await shared.ConnectAsync();

        var version = await client.VersionAsync(Stop);

        var ctr = await shared.Daemon.CtrAsync("version");
        Assert.Contains($"Version:  {version.Version}\n", ctr[ctr.IndexOf("Server:", StringComparison.Ordinal)..]);
        Assert.NotEmpty(version.Version);
    }

    [Fact]
    public async Task Server_says_its_uuid_and_pid()
    {
        await using var client = await shared.ConnectAsync();

        var server = await client.ServerAsync(Stop);

        Assert.True(Guid.TryParse(server.Uuid, out _), server.Uuid);
        Assert.Contains(server.Pid, new long[] { 0, shared.Daemon.Pid });
    }

    [Fact]
    public async Task Every_call_carries_the_namespace()
    {
        var recorder = new RpcRecorder();
        await using var client = await SharedDaemon.ConnectAsync(shared.Daemon, recorder);

        await client.ServerAsync(Stop);

        Assert.Equal(["Version.Version", "Introspection.Server"], recorder.Methods);
        Assert.All(recorder.Calls, call => Assert.Equal(shared.Daemon.Namespace, call.Headers!.GetValue("containerd-namespace")));
    }

    [Fact]
    public async Task A_dead_socket_is_a_timeout_within_the_limit()
    {
        using var folder = new TempFolder();

        var error = await NotConnectedAsync(folder["none.sock"]);

        Assert.True(error.IsTimeout);
        Assert.True(error.IsUnavailable);
        Assert.Equal($"no answer at {folder["none.sock"]} within 5 s: the socket does not exist", error.Message);
    }

    [Fact]
    public async Task A_socket_that_nobody_serves_is_named_so()
    {
        using var folder = new TempFolder();
        await File.WriteAllTextAsync(folder["file.sock"], "", Stop);

        var error = await NotConnectedAsync(folder["file.sock"]);

        Assert.Equal($"no answer at {folder["file.sock"]} within 5 s: nobody listens on the socket", error.Message);
    }

    [Fact]
    public async Task Connect_waits_for_a_daemon_that_starts_later()
    {
        await using var daemon = await ContainerdDaemon.StartAsync();
        await daemon.KillAsync();
        var connecting = ContainerdClient.ConnectAsync(SharedDaemon.OptionsFor(daemon), Stop);

        await daemon.StartAgainAsync();

        await using var client = await connecting;
        Assert.NotEmpty((await client.VersionAsync(Stop)).Version);
    }

    [Fact]
    public async Task Connect_can_be_cancelled()
    {
        using var folder = new TempFolder();
        using var cancel = new CancellationTokenSource();
        var connecting = ContainerdClient.ConnectAsync(new ContainerdClientOptions { Address = folder["none.sock"] }, cancel.Token);

        await cancel.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => connecting);
    }

    [Fact]
    public async Task A_call_after_a_restart_of_the_daemon_reaches_it()
    {
        await using var daemon = await ContainerdDaemon.StartAsync();
        await using var client = await SharedDaemon.ConnectAsync(daemon);
        await daemon.KillAsync();
        var error = await Assert.ThrowsAsync<ContainerdException>(() => client.VersionAsync(Stop));
        Assert.True(error.IsUnavailable, error.ToString());

        await daemon.StartAgainAsync();

        Assert.NotEmpty((await client.VersionAsync(Stop)).Version);
    }

    [Fact]
    public async Task A_closed_client_says_so()
    {
        var client = await shared.ConnectAsync();
        await client.DisposeAsync();
        await client.DisposeAsync();

        await Assert.ThrowsAsync<ObjectDisposedException>(() => client.VersionAsync(Stop));
    }

    [Theory]
    [InlineData("")]
    [InlineData("a b")]
    [InlineData("-a")]
    [InlineData("a-")]
    [InlineData("a..b")]
    [InlineData("a/b")]
    [InlineData("é")]
    public async Task A_bad_namespace_is_refused_before_any_call(string ns) =>
        await Assert.ThrowsAnyAsync<ArgumentException>(() => ContainerdClient.ConnectAsync(new ContainerdClientOptions { Namespace = ns }, Stop));

    [Fact]
    public async Task Bad_times_are_refused_before_any_call()
    {
        await Assert.ThrowsAnyAsync<ArgumentException>(
            () => ContainerdClient.ConnectAsync(new ContainerdClientOptions { CallTimeout = TimeSpan.Zero }, Stop));
        await Assert.ThrowsAnyAsync<ArgumentException>(
            () => ContainerdClient.ConnectAsync(new ContainerdClientOptions { LockTimeout = TimeSpan.FromSeconds(-1) }, Stop));
    }

    /// <summary>Connects in vain for 5 s, which pass once it was tried.</summary>
    private static async Task<ContainerdException> NotConnectedAsync(string address)
    {
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow); // calls have their deadlines on the real clock
        var tried = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var options = new ContainerdClientOptions
        {
            Address = address, ConnectTimeout = TimeSpan.FromSeconds(5), TimeProvider = time, CallEnded = _ => tried.TrySetResult(),
        };
        var connecting = ContainerdClient.ConnectAsync(options, Stop);
        await tried.Task.WaitAsync(Eventually.DefaultLimit, Stop);
        time.Advance(options.ConnectTimeout);
        return await Assert.ThrowsAsync<ContainerdException>(() => connecting);
    }
}
