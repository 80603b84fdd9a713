using System.IO.Pipelines;
using Reconciler.Containerd.Tests.Containers;
using Reconciler.Testing;

namespace Reconciler.Containerd.Tests.Processes;

/// <summary>Streams after the client that made them is gone.</summary>
public sealed class StreamRecoverTests(SharedDaemon shared) : StreamFixture(shared)
{
    [Fact]
    public async Task A_recovered_container_goes_on_with_its_streams()
    {
        var (stdin, stdout) = (new Pipe(), new Pipe());
        var id = SharedDaemon.NewId();
        var script = "echo one; while [ ! -e /tmp/go ]; do sleep 0.05; done; echo two; touch /tmp/two; while read line; do echo got $line; done; exit 7";
        var first = await ContainerdClient.ConnectAsync(Options, Stop);
        var pid = await first.CreateContainerAsync(SharedDaemon.Sh(id, script) with { IO = ContainerIO.Pipes(stdin.Reader, stdout.Writer) }, Stop);
        await ReadToAsync(stdout, "one\n");
        await first.DisposeAsync();
        await Assert.ThrowsAsync<IOException>(() => stdout.Reader.ReadAsync(Stop).AsTask().WaitAsync(Scripts.Long, Stop));
        Assert.Single(Directory.GetDirectories(Fifos));
        Scripts.Let(pid);
        await Eventually.UntilAsync(() => File.Exists($"/proc/{pid}/root/tmp/two"), "it writes to nobody");

        var (input, output) = (new Pipe(), new Pipe());
        await Client.RecoverContainerAsync(id, ContainerIO.Pipes(input.Reader, output.Writer), Stop);
        await ReadToAsync(output, "two\n");
        await WriteAsync(input, "three\n");
        await ReadToAsync(output, "got three\n");
        await input.Writer.CompleteAsync();

        Assert.Equal("", await ReadAsync(output));
        Assert.Equal(7, (await Client.ProbeContainerAsync(id, Scripts.Long, Stop)).ExitCode);
        await Client.DestroyContainerAsync(id, AtOnce, Stop);
        AssertNothingLeft();
    }

    [Fact]
    public async Task Output_that_nobody_reads_waits_and_none_is_lost()
    {
        using var seen = new MemoryStream();
        var id = SharedDaemon.NewId();
        await using (var maker = await ContainerdClient.ConnectAsync(Options, Stop))
        {
            var held = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            var io = ContainerIO.Callback(async (bytes, end) =>
            {
                seen.Write(bytes.Span);
                if (seen.Length < 200_000) return;
                held.TrySetResult();
                await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, end);
            });
            var pid = await maker.CreateContainerAsync(SharedDaemon.Sh(id, "exec seq 1 300000") with { IO = io }, Stop);
            await held.Task.WaitAsync(Scripts.Long, Stop);
            await WrittenOnceBlockedAsync(pid);
        }

        await Client.RecoverContainerAsync(id, ContainerIO.Streams(stdout: seen), Stop);

        Assert.Equal(0, (await Client.ProbeContainerAsync(id, Scripts.Long, Stop)).ExitCode);
        Assert.True(Numbers.AsSpan(0, Length(300_000)).SequenceEqual(seen.ToArray()));
        await Client.DestroyContainerAsync(id, AtOnce, Stop);
        AssertNothingLeft();
    }

    [Fact]
    public async Task A_client_that_watches_already_may_attach_once()
    {
        var (id, pid) = await LeftAsync("while [ ! -e /tmp/go ]; do sleep 0.05; done; echo done; exit 4");
        await Client.RecoverContainerAsync(id, null, Stop);
        var (output, second) = (new Pipe(), new Pipe());

        await Client.RecoverContainerAsync(id, ContainerIO.Pipes(stdout: output.Writer), Stop);
        var error = await Assert.ThrowsAsync<ContainerdException>(() => Client.RecoverContainerAsync(id, ContainerIO.Pipes(stdout: second.Writer), Stop));
        Scripts.Let(pid);

        Assert.Contains("attached already", error.Message, StringComparison.Ordinal);
        Assert.Same(error, await Assert.ThrowsAsync<ContainerdException>(() => second.Reader.ReadAsync(Stop).AsTask().WaitAsync(Scripts.Long, Stop)));
        Assert.Equal("done\n", await ReadAsync(output));
        Assert.Equal(4, (await Client.ProbeContainerAsync(id, Scripts.Long, Stop)).ExitCode);
        await Client.DestroyContainerAsync(id, AtOnce, Stop);
        AssertNothingLeft();
    }

    [Fact]
    public async Task The_streams_of_an_ended_one_end_at_once()
    {
        var (id, pid) = await LeftAsync("while [ ! -e /tmp/go ]; do sleep 0.05; done; exit 4");
        Scripts.Let(pid);
        await Eventually.GetAsync(
            async () => await Client.GetTaskAsync(id, Stop) is { Status: TaskStatus.Stopped } task ? task : null, "the container ends");
        var output = new Pipe();

        await Client.RecoverContainerAsync(id, ContainerIO.Pipes(stdout: output.Writer), Stop);

        Assert.Equal("", await ReadAsync(output));
        Assert.Equal(4, (await Client.ProbeContainerAsync(id, Scripts.Long, Stop)).ExitCode);
        AssertNothingLeft();
        await Client.RecoverContainerAsync(id, ContainerIO.Pipes(stdout: new Pipe().Writer), Stop);
        await Client.DestroyContainerAsync(id, AtOnce, Stop);
    }

    [Fact]
    public async Task One_without_streams_and_one_whose_FIFOs_are_gone_are_told()
    {
        var (left, _) = await LeftAsync("exec sleep 1000");
        Directory.Delete(Assert.Single(Directory.GetDirectories(Fifos)), recursive: true);
        var (held, _) = await Scripts.HeldAsync(Client, 0);

        var gone = await Assert.ThrowsAsync<ContainerdException>(() => Client.RecoverContainerAsync(left, ContainerIO.Streams(stdout: Stream.Null), Stop));
        var none = await Assert.ThrowsAsync<ContainerdException>(() => Client.RecoverContainerAsync(held, ContainerIO.Streams(stdout: Stream.Null), Stop));

        Assert.Contains("cannot be opened again", gone.Message, StringComparison.Ordinal);
        Assert.Contains("has no streams to attach to", none.Message, StringComparison.Ordinal);
        await Client.RecoverContainerAsync(left, null, Stop);
        await Client.DestroyContainerAsync(left, AtOnce, Stop);
        await Client.DestroyContainerAsync(held, AtOnce, Stop);
        AssertNothingLeft();
    }

    [Fact]
    public async Task Destroy_of_one_that_nobody_reads_leaves_nothing()
    {
        // More than all pipes on the way hold: it stands in a write.
        var (id, _) = await LeftAsync("exec seq 1 1000000");

        await Client.DestroyContainerAsync(id, AtOnce, Stop);

        AssertNothingLeft();
        await Leftover.NothingAsync(Client, Shared.Daemon, id);
    }

    /// <summary>A container with streams whose client is gone.</summary>
    private async Task<(string Id, int Pid)> LeftAsync(string script)
    {
        var id = SharedDaemon.NewId();
        await using var maker = await ContainerdClient.ConnectAsync(Options, Stop);
        using var taker = new HeldStream();
        var pid = await maker.CreateContainerAsync(SharedDaemon.Sh(id, "touch /tmp/ready; " + script) with { IO = ContainerIO.Streams(stdout: taker) }, Stop);
        await Eventually.UntilAsync(() => File.Exists($"/proc/{pid}/root/tmp/ready"), "the script runs");
        return (id, pid);
    }
}
