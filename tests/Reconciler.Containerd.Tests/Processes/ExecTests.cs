using System.Security.Cryptography;
using System.Text;
using Reconciler.Containerd.Tests.Containers;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.Containerd.Tests.Processes;

public sealed class ExecTests(SharedDaemon shared) : IAsyncLifetime
{
    private readonly TempFolder _fifos = new();
    private readonly RpcRecorder _recorder = new();
    private readonly HookLog _hook = new();
    private ContainerdClient _client = null!;
    private string _id = "";

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        var options = SharedDaemon.OptionsFor(shared.Daemon) with { FifoDirectory = _fifos.Path };
        _client = await ContainerdClient.OpenAsync(options, _recorder, Stop);
        _client.SetExitHooks(_hook.TellAsync);
        (_id, _) = await Scripts.HeldAsync(_client, 0);
        _recorder.Clear();
    }

    public async ValueTask DisposeAsync()
    {
        await _client.DisposeAsync();
        await using var last = await shared.ConnectAsync();
        await last.DestroyContainerAsync(_id, new StopOptions { Grace = TimeSpan.Zero }, CancellationToken.None);
        _fifos.Dispose();
    }

    [Fact]
    public async Task Exec_tells_the_exit_deletes_the_process_and_leaves_no_FIFO()
    {
        using var stdout = new MemoryStream();
        using var stderr = new MemoryStream();
        var process = Sh("e1", "echo out; echo err >&2; exit 9") with { IO = ContainerIO.Streams(stdout: stdout, stderr: stderr) };

        var started = await _client.ExecContainerAsync(process, Stop);
        var exit = await started.Exit.WaitAsync(Scripts.Long, Stop);

        Assert.True(started.Pid > 0);
        Assert.Equal((9, false), (exit.ExitCode, exit.HasError));
        Assert.True(exit.ExitTime > DateTimeOffset.UnixEpoch);
        Assert.Equal(("out\n", "err\n"), (Text(stdout), Text(stderr)));
        Assert.Equal(["Containers.Get", "Tasks.Exec", "Tasks.Wait", "Tasks.Start", "Tasks.DeleteProcess"], _recorder.Methods);
        Assert.Empty(Directory.GetFileSystemEntries(_fifos.Path));
        await _hook.FirstAsync("e1");
        Assert.Equal(exit, Assert.Single(_hook.Told).Exit);
        var again = await _client.ExecContainerAsync(Sh("e1", "exit 3"), Stop);
        Assert.Equal(3, (await again.Exit.WaitAsync(Scripts.Long, Stop)).ExitCode);
    }

    [Fact]
    public async Task Input_is_delivered_with_its_end()
    {
        var bytes = RandomNumberGenerator.GetBytes(300_000);
        using var stdin = new MemoryStream(bytes);
        using var stdout = new MemoryStream();

        var started = await _client.ExecContainerAsync(Sh("cat", "exec cat") with { IO = ContainerIO.Streams(stdin, stdout) }, Stop);

        Assert.Equal(0, (await started.Exit.WaitAsync(Scripts.Long, Stop)).ExitCode);
        Assert.True(bytes.AsSpan().SequenceEqual(stdout.ToArray()));
        Assert.Contains("Tasks.CloseIO", _recorder.Methods);
        Assert.Empty(Directory.GetFileSystemEntries(_fifos.Path));
    }

    [Fact]
    public async Task Output_is_byte_exact_while_its_taker_is_held()
    {
        using var taker = new HeldStream();
        var started = await _client.ExecContainerAsync(Sh("seq", "seq 1 400000") with { IO = ContainerIO.Streams(stdout: taker) }, Stop);
        await taker.Reached.WaitAsync(Scripts.Long, Stop);
        Assert.False(started.Exit.IsCompleted);
        taker.Release();

        Assert.Equal(0, (await started.Exit.WaitAsync(Scripts.Long, Stop)).ExitCode);
        var expected = new StringBuilder();
        for (var i = 1; i <= 400_000; i++) expected.Append(i).Append('\n');
        Assert.True(taker.Content.AsSpan().SequenceEqual(Encoding.ASCII.GetBytes(expected.ToString())));
    }

    [Fact]
    public async Task A_stream_that_fails_stops_neither_the_process_nor_its_end()
    {
        using var broken = new HeldStream { Failure = new IOException("the taker is gone") };

        var started = await _client.ExecContainerAsync(Sh("broken", "seq 1 100000; exit 6") with { IO = ContainerIO.Streams(stdout: broken) }, Stop);

        Assert.Equal(6, (await started.Exit.WaitAsync(Scripts.Long, Stop)).ExitCode);
        Assert.Empty(Directory.GetFileSystemEntries(_fifos.Path));
    }

    [Fact]
    public async Task A_missing_program_is_told_as_a_start_error_and_leaves_nothing()
    {
        using var stdout = new MemoryStream();
        var process = Sh("none", "true") with { IO = ContainerIO.Streams(stdout: stdout), Process = new OciProcess { Args = ["/bin/no-such-program"] } };

        var error = await Assert.ThrowsAsync<ContainerdException>(() => _client.ExecContainerAsync(process, Stop));

        Assert.Contains("no-such-program", error.Message, StringComparison.Ordinal);
        var (id, exit) = Assert.Single(_hook.Told);
        Assert.Equal(("none", null, error), (id, exit.ExitCode, exit.StartError));
        Assert.Contains("Tasks.DeleteProcess", _recorder.Answered);
        Assert.Empty(Directory.GetFileSystemEntries(_fifos.Path));
        var again = await _client.ExecContainerAsync(Sh("none", "exit 4"), Stop);
        Assert.Equal(4, (await again.Exit.WaitAsync(Scripts.Long, Stop)).ExitCode);
    }

    [Fact]
    public async Task Members_are_honoured_and_others_are_the_first_process_own()
    {
        using var stdout = new MemoryStream();
        var process = Sh("own", "echo $A $B; pwd; id -u; id -g") with { IO = ContainerIO.Streams(stdout: stdout) };
        process = process with
        {
            Process = process.Process with { Env = ["PATH=/bin", "A=1", "B=2"], Cwd = "/tmp", User = new OciUser { Uid = 1234, Gid = 2345 } },
        };
        using var inherited = new MemoryStream();

        var started = await _client.ExecContainerAsync(process, Stop);
        var other = await _client.ExecContainerAsync(Sh("other", "pwd; id -u") with { IO = ContainerIO.Streams(stdout: inherited) }, Stop);

        Assert.Equal(0, (await started.Exit.WaitAsync(Scripts.Long, Stop)).ExitCode);
        Assert.Equal(0, (await other.Exit.WaitAsync(Scripts.Long, Stop)).ExitCode);
        Assert.Equal("1 2\n/tmp\n1234\n2345\n", Text(stdout));
        Assert.Equal("/\n0\n", Text(inherited));
    }

    [Fact]
    public async Task Errors_are_told_apart()
    {
        using var cancel = new CancellationTokenSource();
        await cancel.CancelAsync();
        var running = await _client.ExecContainerAsync(Sh("twice", "while [ ! -e /tmp/over ]; do sleep 0.05; done; exit 2"), Stop);

        var twice = await Assert.ThrowsAsync<ContainerdException>(() => _client.ExecContainerAsync(Sh("twice", "true"), Stop));
        var unknown = await Assert.ThrowsAsync<ContainerdException>(() => _client.ExecContainerAsync(Sh("x", "true") with { ContainerId = "unknown" }, Stop));
        await Assert.ThrowsAsync<ArgumentException>(() => _client.ExecContainerAsync(Sh("", "true"), Stop));
        await Assert.ThrowsAsync<ArgumentException>(() => _client.ExecContainerAsync(Sh("x", "true") with { Process = new OciProcess() }, Stop));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _client.ExecContainerAsync(Sh("x", "true"), cancel.Token));

        Assert.Equal("AlreadyExists", twice.RpcStatus);
        Assert.Equal(ContainerdError.ContainerNotfound, unknown.Code);
        await File.WriteAllTextAsync($"/proc/{running.Pid}/root/tmp/over", "", Stop);
        Assert.Equal(2, (await running.Exit.WaitAsync(Scripts.Long, Stop)).ExitCode);
    }

    [Fact]
    public async Task A_closed_client_leaves_the_process_running_and_no_FIFO()
    {
        using var stdout = new MemoryStream();
        var started = await _client.ExecContainerAsync(Sh("on", "exec sleep 1000") with { IO = ContainerIO.Streams(stdout: stdout) }, Stop);

        await _client.DisposeAsync();

        await Assert.ThrowsAsync<ObjectDisposedException>(() => started.Exit);
        Assert.True(LiveProcess.Is(started.Pid));
        Assert.Empty(_hook.Told);
        Assert.Empty(Directory.GetFileSystemEntries(_fifos.Path));
    }

    [Fact]
    public async Task A_child_that_keeps_the_output_open_does_not_keep_the_exit()
    {
        using var stdout = new MemoryStream();

        var started = await _client.ExecContainerAsync(Sh("child", "sleep 1000 & echo started; exit 7") with { IO = ContainerIO.Streams(stdout: stdout) }, Stop);

        Assert.Equal(7, (await started.Exit.WaitAsync(Scripts.Long, Stop)).ExitCode);
        Assert.Equal("started\n", Text(stdout));
        Assert.Empty(Directory.GetFileSystemEntries(_fifos.Path));
    }

    [Fact]
    public async Task An_input_that_never_ends_is_left_alone_at_the_exit()
    {
        using var stdin = new HeldStream();
        stdin.Write("x\n"u8);
        stdin.Position = 0;

        var started = await _client.ExecContainerAsync(Sh("line", "read line; exit 8") with { IO = ContainerIO.Streams(stdin) }, Stop);

        Assert.Equal(8, (await started.Exit.WaitAsync(Scripts.Long, Stop)).ExitCode);
        Assert.DoesNotContain("Tasks.CloseIO", _recorder.Methods);
    }

    [Fact]
    public async Task A_restart_of_the_daemon_is_no_exit_and_cuts_no_stream()
    {
        await using var daemon = await ContainerdDaemon.StartAsync();
        await SharedDaemon.ImportAsync(daemon, TestImages.Busybox(), SharedDaemon.Busybox);
        await using var client = await ContainerdClient.ConnectAsync(SharedDaemon.OptionsFor(daemon) with { FifoDirectory = _fifos.Path }, Stop);
        var (id, _) = await Scripts.HeldAsync(client, 0);
        using var stdout = new MemoryStream();
        var script = "echo before; while [ ! -e /tmp/over ]; do sleep 0.05; done; echo after; exit 5";
        var started = await client.ExecContainerAsync(Sh("over", script) with { ContainerId = id, IO = ContainerIO.Streams(stdout: stdout) }, Stop);

        await daemon.KillAsync();
        await daemon.StartAgainAsync();
        Assert.False(started.Exit.IsCompleted);
        await File.WriteAllTextAsync($"/proc/{started.Pid}/root/tmp/over", "", Stop);

        Assert.Equal(5, (await started.Exit.WaitAsync(Scripts.Long, Stop)).ExitCode);
        Assert.Equal("before\nafter\n", Text(stdout));
        await client.DestroyContainerAsync(id, new StopOptions { Grace = TimeSpan.Zero }, Stop);
    }

    private ExecProcess Sh(string execId, string script) =>
        new() { ContainerId = _id, ExecId = execId, Process = new OciProcess { Args = ["sh", "-c", script] } };

    private static string Text(MemoryStream stream) => Encoding.UTF8.GetString(stream.ToArray());
}
