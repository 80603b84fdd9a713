using System.IO.Pipelines;
using Reconciler.Containerd.Tests.Containers;

namespace Reconciler.Containerd.Tests.Processes;

/// <summary>What is left of the streams of containers that did not come to be: nothing.</summary>
public sealed class StreamFaultTests(SharedDaemon shared) : StreamFixture(shared)
{
    [Theory]
    [InlineData("Images.Get")]
    [InlineData("Containers.Create")]
    [InlineData("Snapshots.Prepare")]
    [InlineData("Tasks.Create")]
    [InlineData("Tasks.Start")]
    public async Task A_create_that_fails_at_any_call_leaves_no_stream(string method)
    {
        var (stdin, stdout) = (new Pipe(), new Pipe());
        var id = SharedDaemon.NewId();
        Recorder.Fail(method);

        var error = await Assert.ThrowsAsync<ContainerdException>(
            () => Client.CreateContainerAsync(SharedDaemon.Sh(id, "sleep 1000") with { IO = ContainerIO.Pipes(stdin.Reader, stdout.Writer) }, Stop));

        Assert.Contains("injected", error.Message, StringComparison.Ordinal);
        AssertNothingLeft();
        await EndAsync(stdout);
        Assert.True((await stdin.Writer.WriteAsync(new byte[1], Stop)).IsCompleted);
        Recorder.Before = null;
        await Leftover.NothingAsync(Client, Shared.Daemon, id);
    }

    [Theory]
    [InlineData("Images.Get")]
    [InlineData("Containers.Create")]
    [InlineData("Snapshots.Prepare")]
    [InlineData("Tasks.Create")]
    public async Task A_create_that_is_cancelled_at_any_call_leaves_no_stream(string method)
    {
        var stdout = new Pipe();
        var id = SharedDaemon.NewId();
        using var cancel = new CancellationTokenSource();
        Recorder.Before = name =>
        {
            if (name == method) cancel.Cancel();
        };

        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => Client.CreateContainerAsync(SharedDaemon.Sh(id, "sleep 1000") with { IO = ContainerIO.Pipes(stdout: stdout.Writer) }, cancel.Token));

        AssertNothingLeft();
        await EndAsync(stdout);
        await Leftover.NothingAsync(Client, Shared.Daemon, id);
    }

    [Fact]
    public async Task A_missing_program_leaves_no_stream()
    {
        var id = SharedDaemon.NewId();
        using var stdout = new MemoryStream();
        var container = SharedDaemon.Sh(id, "") with { Command = ["/bin/no-such-program"], IO = ContainerIO.Streams(stdout: stdout) };

        var error = await Assert.ThrowsAsync<ContainerdException>(() => Client.CreateContainerAsync(container, Stop));

        Assert.Contains("no-such-program", error.Message, StringComparison.Ordinal);
        AssertNothingLeft();
        await Leftover.NothingAsync(Client, Shared.Daemon, id);
    }

    [Fact]
    public async Task A_FIFO_folder_that_cannot_be_made_is_told_and_rolled_back()
    {
        await File.WriteAllTextAsync(Path.Combine(Fifos, "file"), "", Stop);
        await using var client = await ContainerdClient.ConnectAsync(Options with { FifoDirectory = Path.Combine(Fifos, "file", "below") }, Stop);
        var id = SharedDaemon.NewId();

        var error = await Assert.ThrowsAsync<ContainerdException>(
            () => client.CreateContainerAsync(SharedDaemon.Sh(id, "true") with { IO = ContainerIO.Streams(stdout: Stream.Null) }, Stop));

        Assert.Contains("its FIFOs cannot be made", error.Message, StringComparison.Ordinal);
        await Leftover.NothingAsync(client, Shared.Daemon, id);
        File.Delete(Path.Combine(Fifos, "file"));
    }
}
