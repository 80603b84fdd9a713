using System.IO.Pipelines;
using Microsoft.Extensions.Time.Testing;
using Reconciler.Containerd.Tests.Containers;
using Reconciler.Testing;

namespace Reconciler.Containerd.Tests.Processes;

/// <summary>The limits of streams, on virtual time; the test is the shim.</summary>
[Trait("containerd", "none")]
public sealed class ProcessStreamsTests : IAsyncDisposable
{
    private readonly FakeTimeProvider _time = new();
    private readonly TempFolder _folder = new();
    private readonly CancellationTokenSource _closing = new();
    private readonly FifoFolder _fifos;

    public ProcessStreamsTests() =>
        _fifos = new FifoFolder(new ContainerdClientOptions { FifoDirectory = _folder.Path, TimeProvider = _time }, (_, _) => { }, _closing.Token);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        await _fifos.CloseAsync();
        _closing.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public async Task A_taker_that_takes_nothing_after_the_exit_is_waited_for_30_seconds_and_dropped_when_given_up()
    {
        using var taker = new HeldStream();
        var streams = Open(ContainerIO.Streams(stdout: taker));
        using (Write(streams.Stdout, "x")) await taker.Reached.WaitAsync(Scripts.Long, Stop);

        var delivered = streams.DeliverAsync(Stop);
        await AdvanceUntilAsync(delivered);

        Assert.False(await delivered);
        Assert.False(streams.EndAsync().IsCompleted);
        await streams.DisposeAsync();
        Assert.Empty(taker.Content);
        Assert.Empty(Directory.GetFileSystemEntries(_folder.Path));
        Assert.True(_fifos.IsIdle);
    }

    [Fact]
    public async Task A_pipe_that_is_given_up_says_that_output_is_missing()
    {
        var pipe = new Pipe(new PipeOptions(pauseWriterThreshold: 1, resumeWriterThreshold: 1));
        var streams = Open(ContainerIO.Pipes(stdout: pipe.Writer));
        using (Write(streams.Stdout, "x"))
        {
            var first = await pipe.Reader.ReadAsync(Stop);
            Assert.Equal(1, first.Buffer.Length);
            // A pipe counts what was examined as taken, and lets its writer go on.
            pipe.Reader.AdvanceTo(first.Buffer.Start, first.Buffer.Start);
        }

        await streams.DisposeAsync();

        await Assert.ThrowsAsync<IOException>(() => pipe.Reader.ReadAsync(Stop).AsTask().WaitAsync(Scripts.Long, Stop));
    }

    [Fact]
    public async Task Output_that_something_else_holds_open_ends_10_seconds_after_the_exit()
    {
        using var taken = new MemoryStream();
        var streams = Open(ContainerIO.Streams(stdout: taken));
        using var stdout = Write(streams.Stdout, "x");
        using var stderr = Write(streams.Stderr, "");

        var end = streams.EndAsync();
        await AdvanceUntilAsync(end);

        Assert.Equal(1, taken.Length);
    }

    [Fact]
    public async Task FIFOs_that_nobody_ever_wrote_end_with_the_process()
    {
        var pipe = new Pipe();
        var streams = Open(ContainerIO.Pipes(stdout: pipe.Writer));

        await streams.EndAsync().WaitAsync(Scripts.Long, Stop);

        Assert.True((await pipe.Reader.ReadAsync(Stop)).IsCompleted);
        Assert.True(_fifos.IsIdle);
    }

    [Fact]
    public async Task The_folder_of_a_process_is_its_owners_only_and_no_other_containers()
    {
        var mine = Open(ContainerIO.Streams(stdout: Stream.Null));
        var other = ProcessStreams.Open(_fifos, "c.1", isFirst: true, ContainerIO.Streams(stdout: Stream.Null), terminal: false);

        Assert.Equal(
            UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(Path.GetDirectoryName(mine.Stdout)!));
        _fifos.RemoveAll("c");

        Assert.False(File.Exists(mine.Stdout));
        Assert.True(File.Exists(other.Stdout));
        Assert.True(_fifos.IsOurs(other.Stdout, "c.1"));
        Assert.False(_fifos.IsOurs(other.Stdout, "c"));
    }

    [Fact]
    public async Task An_input_whose_reader_goes_away_is_completed_and_no_error()
    {
        var pipe = new Pipe();
        var streams = Open(ContainerIO.Pipes(pipe.Reader));
        var closed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        streams.BeginInput(_ =>
        {
            closed.SetResult();
            return Task.CompletedTask;
        });
        using (var handle = Fifo.OpenRead(streams.Stdin))
        {
            var reader = new byte[1];
            await pipe.Writer.WriteAsync(reader, Stop);
            // The copier looks for our end on virtual time.
            await Eventually.UntilAsync(
                () =>
                {
                    _time.Advance(TimeSpan.FromMilliseconds(20));
                    return Fifo.Read(handle, reader) == 1;
                },
                "the input is passed on");
        }

        await pipe.Writer.WriteAsync(new byte[1], Stop);
        await closed.Task.WaitAsync(Scripts.Long, Stop);
        await streams.EndAsync().WaitAsync(Scripts.Long, Stop);
        Assert.True((await pipe.Writer.FlushAsync(Stop)).IsCompleted);
    }

    private ProcessStreams Open(ContainerIO io) => ProcessStreams.Open(_fifos, "c", isFirst: false, io, terminal: false);

    /// <summary>Opens an output as the shim does, and writes to it.</summary>
    private static Microsoft.Win32.SafeHandles.SafeFileHandle Write(string path, string text)
    {
        var fifo = Fifo.OpenWrite(path)!;
        Assert.Equal(text.Length, Fifo.Write(fifo, System.Text.Encoding.ASCII.GetBytes(text)));
        return fifo;
    }

    /// <summary>Moves the clock on until something is over.</summary>
    private Task AdvanceUntilAsync(Task task) => Eventually.UntilAsync(
        () =>
        {
            if (!task.IsCompleted) _time.Advance(TimeSpan.FromSeconds(1));
            return task.IsCompleted;
        },
        "the limit passes");
}
