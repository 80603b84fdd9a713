using System.Globalization;
using System.IO.Pipelines;
using System.Security.Cryptography;
using System.Text;
using Grpc.Core;
using Reconciler.Containerd.Tests.Containers;
using Reconciler.Testing;

namespace Reconciler.Containerd.Tests.Processes;

/// <summary>The streams of containers.</summary>
public sealed class StreamTests(SharedDaemon shared) : StreamFixture(shared)
{
    [Fact]
    public async Task Container_IO_is_in_order_and_byte_exact()
    {
        using var lines = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var noise = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var last = new MemoryStream();
        var length = 0L;
        var script = "seq 1 2000000; head -c 36700160 /dev/urandom | tee /tmp/noise >&2; echo sum; sha256sum </tmp/noise";
        var io = ContainerIO.Callback(
            (bytes, _) =>
            {
                var rest = (int)Math.Min(bytes.Length, Math.Max(0, Numbers.Length - length));
                lines.AppendData(bytes.Span[..rest]);
                last.Write(bytes.Span[rest..]);
                length += bytes.Length;
                return ValueTask.CompletedTask;
            },
            (bytes, _) =>
            {
                noise.AppendData(bytes.Span);
                return ValueTask.CompletedTask;
            });

        var (exit, _) = await RunAsync(script, io);

        Assert.Equal(0, exit.ExitCode);
        Assert.Equal(SHA256.HashData(Numbers), lines.GetHashAndReset());
        var sum = Convert.ToHexStringLower(noise.GetHashAndReset());
        Assert.Equal($"sum\n{sum}  -\n", Encoding.ASCII.GetString(last.ToArray()));
        Assert.Empty(Warnings);
    }

    [Fact]
    public async Task A_gibibyte_is_byte_exact_while_its_reader_pauses()
    {
        const int piece = 4 * 1024 * 1024;
        const long whole = 256L * piece;
        var pipe = new Pipe();
        var id = SharedDaemon.NewId();
        var four = "set -- \"$@\" \"$@\" \"$@\" \"$@\"; ";
        var script = $"seq 1 700000 | head -c {piece} >/tmp/f; set -- /tmp/f; {four}{four}{four}{four}exec cat \"$@\"";
        var pid = await Client.CreateContainerAsync(SharedDaemon.Sh(id, script) with { IO = ContainerIO.Pipes(stdout: pipe.Writer) }, Stop);

        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var output = pipe.Reader.AsStream();
        var buffer = new byte[128 * 1024];
        var read = 0L;
        var pauses = new Queue<long>([0, 64L << 20, 640L << 20]);
        for (int count; (count = await output.ReadAsync(buffer, Stop).AsTask().WaitAsync(Scripts.Long, Stop)) > 0;)
        {
            hash.AppendData(buffer.AsSpan(0, count));
            read += count;
            if (!pauses.TryPeek(out var next) || read < next) continue;
            pauses.Dequeue();
            Assert.InRange(await WrittenOnceBlockedAsync(pid) - read, -(1 << 20), 1 << 20);
        }

        Assert.Equal(whole, read);
        using var expected = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        for (var i = 0; i < 256; i++) expected.AppendData(Numbers.AsSpan(0, piece));
        Assert.Equal(expected.GetHashAndReset(), hash.GetHashAndReset());
        Assert.Equal(0, (await Client.ProbeContainerAsync(id, Scripts.Long, Stop)).ExitCode);
        await Client.DestroyContainerAsync(id, AtOnce, Stop);
        AssertNothingLeft();
    }

    [Fact]
    public async Task Stdin_ends_with_its_writer_and_the_output_with_the_process()
    {
        var (stdin, stdout) = (new Pipe(), new Pipe());
        var bytes = RandomNumberGenerator.GetBytes(300_000);
        var id = SharedDaemon.NewId();
        await Client.CreateContainerAsync(SharedDaemon.Sh(id, "exec cat") with { IO = ContainerIO.Pipes(stdin.Reader, stdout.Writer) }, Stop);
        using var copy = new MemoryStream();
        var reading = stdout.Reader.CopyToAsync(copy, Stop);

        await using (var input = stdin.Writer.AsStream()) await input.WriteAsync(bytes, Stop);

        Assert.Equal(0, (await Client.ProbeContainerAsync(id, Scripts.Long, Stop)).ExitCode);
        await reading.WaitAsync(Scripts.Long, Stop);
        Assert.True(bytes.AsSpan().SequenceEqual(copy.ToArray()));
        var closed = Assert.Single(Recorder.Requests<Api.Tasks.CloseIORequest>());
        Assert.Equal((id, "", true), (closed.ContainerId, closed.ExecId, closed.Stdin));
        await Client.DestroyContainerAsync(id, AtOnce, Stop);
        AssertNothingLeft();
    }

    [Fact]
    public async Task Stdin_ends_also_when_the_daemon_is_away_for_a_while()
    {
        var stdin = new Pipe();
        var id = SharedDaemon.NewId();
        await Client.CreateContainerAsync(SharedDaemon.Sh(id, "cat; exit 5") with { IO = ContainerIO.Pipes(stdin.Reader) }, Stop);
        var tries = 0;
        Recorder.Before = name =>
        {
            if (name == "Tasks.CloseIO" && ++tries < 3) throw new RpcException(new Status(StatusCode.Unavailable, "injected"));
        };

        await stdin.Writer.CompleteAsync();

        Assert.Equal(5, (await Client.ProbeContainerAsync(id, Scripts.Long, Stop)).ExitCode);
        Assert.Equal(3, tries);
        Assert.Empty(Warnings);
        await Client.DestroyContainerAsync(id, AtOnce, Stop);
    }

    [Fact]
    public async Task A_callback_gets_one_piece_at_a_time_and_the_process_waits_for_it()
    {
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var release = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var taken = new MemoryStream();
        var (inside, most, largest) = (0, 0, 0);
        var io = ContainerIO.Callback(async (bytes, _) =>
        {
            most = Math.Max(most, Interlocked.Increment(ref inside));
            largest = Math.Max(largest, bytes.Length);
            reached.TrySetResult();
            await release.Task;
            taken.Write(bytes.Span);
            Interlocked.Decrement(ref inside);
        });
        var id = SharedDaemon.NewId();
        var pid = await Client.CreateContainerAsync(SharedDaemon.Sh(id, "exec seq 1 300000") with { IO = io }, Stop);

        await reached.Task.WaitAsync(Scripts.Long, Stop);
        Assert.InRange(await WrittenOnceBlockedAsync(pid), 1, 1 << 20);
        Assert.Equal(TaskStatus.Running, (await Client.GetTaskAsync(id, Stop))!.Status);
        release.SetResult();

        Assert.Equal(0, (await Client.ProbeContainerAsync(id, Scripts.Long, Stop)).ExitCode);
        Assert.True(Numbers.AsSpan(0, Length(300_000)).SequenceEqual(taken.ToArray()));
        Assert.Equal(1, most);
        Assert.InRange(largest, 1, 64 * 1024);
        await Client.DestroyContainerAsync(id, AtOnce, Stop);
    }

    [Fact]
    public async Task A_container_that_ends_while_its_input_is_written_is_no_error()
    {
        var stdin = new Pipe();
        var id = SharedDaemon.NewId();
        await Client.CreateContainerAsync(SharedDaemon.Sh(id, "read line; exit 3") with { IO = ContainerIO.Pipes(stdin.Reader) }, Stop);

        var line = Encoding.ASCII.GetBytes(new string('x', 4095) + "\n");
        var writing = Task.Run(
            async () =>
            {
                while (!(await stdin.Writer.WriteAsync(line, Stop)).IsCompleted)
                {
                }
            },
            Stop);

        Assert.Equal(3, (await Client.ProbeContainerAsync(id, Scripts.Long, Stop)).ExitCode);
        await writing.WaitAsync(Scripts.Long, Stop);
        await Client.DestroyContainerAsync(id, AtOnce, Stop);
        AssertNothingLeft();
        Assert.Empty(Warnings);
    }

    [Fact]
    public async Task The_exit_is_told_with_all_output_delivered_and_nothing_open()
    {
        using var stdout = new MemoryStream();
        using var stderr = new MemoryStream();
        var told = new TaskCompletionSource<(long, long)>(TaskCreationOptions.RunContinuationsAsynchronously);
        Client.SetStopHooks((_, _, _) =>
        {
            told.TrySetResult((stdout.Length, stderr.Length));
            return Task.CompletedTask;
        });
        var id = SharedDaemon.NewId();
        var script = "seq 1 300000; seq 1 1000 >&2; exit 9";
        await Client.CreateContainerAsync(SharedDaemon.Sh(id, script) with { IO = ContainerIO.Streams(stdout: stdout, stderr: stderr) }, Stop);

        Assert.Equal(9, (await Client.ProbeContainerAsync(id, Scripts.Long, Stop)).ExitCode);

        AssertNothingLeft();
        Assert.Equal((Length(300_000), Length(1000)), ((int)stdout.Length, (int)stderr.Length));
        Assert.Equal((stdout.Length, stderr.Length), await told.Task.WaitAsync(Scripts.Long, Stop));
        Assert.True(stdout.CanWrite);
        await Client.DestroyContainerAsync(id, AtOnce, Stop);
    }

    [Fact]
    public async Task Destroy_delivers_what_was_written_before_it_answers()
    {
        using var taker = new HeldStream();
        var id = SharedDaemon.NewId();
        var script = "seq 1 12000; touch /tmp/written; exec sleep 1000";
        var pid = await Client.CreateContainerAsync(SharedDaemon.Sh(id, script) with { IO = ContainerIO.Streams(stdout: taker) }, Stop);
        await Eventually.UntilAsync(() => File.Exists($"/proc/{pid}/root/tmp/written"), "the script has written");

        var destroy = Client.DestroyContainerAsync(id, AtOnce, Stop);
        await Eventually.UntilAsync(() => !LiveProcess.Is(pid), "the process ends");
        Assert.False(destroy.IsCompleted);
        taker.Release();

        Assert.Equal(137, (await destroy.WaitAsync(Scripts.Long, Stop)).ExitCode);
        Assert.Equal(Length(12_000), taker.Content.Length);
        AssertNothingLeft();
    }

    [Fact]
    public async Task A_target_that_fails_stops_neither_the_process_nor_its_exit()
    {
        using var broken = new HeldStream { Failure = new IOException("the taker is gone") };
        using var stderr = new MemoryStream();

        var (exit, _) = await RunAsync("seq 1 100000; echo end >&2; exit 6", ContainerIO.Streams(stdout: broken, stderr: stderr));

        Assert.Equal(6, exit.ExitCode);
        Assert.Equal("end\n", Encoding.ASCII.GetString(stderr.ToArray()));
        Assert.Contains("the taker is gone", Assert.Single(Warnings), StringComparison.Ordinal);
    }

    private async Task<(ExitMessage Exit, string Id)> RunAsync(string script, ContainerIO io)
    {
        var id = SharedDaemon.NewId();
        await Client.CreateContainerAsync(SharedDaemon.Sh(id, script) with { IO = io }, Stop);
        var exit = await Client.ProbeContainerAsync(id, Scripts.Long, Stop);
        await Client.DestroyContainerAsync(id, AtOnce, Stop);
        AssertNothingLeft();
        return (exit, id);
    }
}
