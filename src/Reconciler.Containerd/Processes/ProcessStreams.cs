using Microsoft.Win32.SafeHandles;

namespace Reconciler.Containerd;

/// <summary>The FIFOs of one process, and what copies between them and what its <see cref="ContainerIO"/> names.</summary>
internal sealed class ProcessStreams : IAsyncDisposable
{
    private const int BufferBytes = 64 * 1024;

    /// <summary>How long output may be silent after the exit while something else holds its end open.</summary>
    private static readonly TimeSpan SilenceLimit = TimeSpan.FromSeconds(10);

    /// <summary>How long a taker may take nothing before the exit is told, and a destroy goes on, without it.</summary>
    private static readonly TimeSpan TakerLimit = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan ReaderPoll = TimeSpan.FromMilliseconds(20);

    private readonly Lock _gate = new();
    private readonly FifoFolder _parent;
    private readonly ContainerIO _io;
    private readonly ProcessFifos _fifos;
    private readonly FifoPoller _poller;
    private readonly CancellationTokenSource _end = new();
    private readonly CancellationTokenSource _exited;
    private readonly CancellationTokenRegistration _closing;
    private readonly Task _output;
    private Task _input = Task.CompletedTask;
    private Task? _ending;
    private bool _abandoned;
    private long _taken;

    private ProcessStreams(FifoFolder parent, string containerId, bool isFirst, ContainerIO io, ProcessFifos fifos)
    {
        (_parent, ContainerId, IsFirst, _io, _fifos) = (parent, containerId, isFirst, io, fifos);
        _exited = CancellationTokenSource.CreateLinkedTokenSource(_end.Token);
        // Who closes the client meanwhile waits until there is something to end.
        lock (_gate)
        {
            _poller = parent.Enter(this);
            _closing = parent.Closing.Register(_end.Cancel);
            _output = Task.WhenAll(CopyOutputAsync(fifos.Output, io.Output), CopyOutputAsync(fifos.Error, io.Error));
        }
    }

    public string ContainerId { get; }

    /// <summary>They are the container's own: when the client is closed they stay, for the next one to attach to.</summary>
    public bool IsFirst { get; }

    /// <summary>Empty = none.</summary>
    public string Stdin => _fifos.Stdin;

    /// <summary>Never empty.</summary>
    public string Stdout => _fifos.Stdout;

    /// <summary>Empty = none: a terminal.</summary>
    public string Stderr => _fifos.Stderr;

    /// <summary>Makes the FIFOs and opens their read ends, without which the shim would wait; then the output is copied.</summary>
    /// <exception cref="IOException">They cannot be made.</exception>
    /// <exception cref="UnauthorizedAccessException">Likewise.</exception>
    public static ProcessStreams Open(FifoFolder parent, string containerId, bool isFirst, ContainerIO io, bool terminal)
    {
        var folder = parent.Make(containerId);
        // One output alone would make the shim fail, but for a terminal.
        var fifos = new ProcessFifos(
            io.Input is null ? "" : Path.Join(folder, "stdin"), Path.Join(folder, "stdout"), terminal ? "" : Path.Join(folder, "stderr"));
        try
        {
            fifos.Make();
            fifos.Open();
        }
        catch
        {
            fifos.Dispose();
            Directory.Delete(folder, recursive: true);
            throw;
        }
        return new ProcessStreams(parent, containerId, isFirst, io, fifos);
    }

    /// <summary>Opens what a former client made for the first process of a container, and copies its output from where it stopped.</summary>
    /// <exception cref="IOException">It is not there any more, though the process runs.</exception>
    public static ProcessStreams Reopen(FifoFolder parent, TaskInfo task, ContainerIO io)
    {
        var fifos = new ProcessFifos(task.Stdin, task.Stdout, task.Stderr) { IsOld = true };
        try
        {
            if (task.Status != TaskStatus.Stopped || File.Exists(task.Stdout)) fifos.Open();
        }
        catch
        {
            fifos.Dispose();
            throw;
        }
        return new ProcessStreams(parent, task.Id, isFirst: true, io, fifos);
    }

    /// <summary>Copies the input to its end, or until the process no longer reads it.</summary>
    /// <param name="close">Lets the process see the end of its input; null = it does not.</param>
    public void BeginInput(Func<CancellationToken, Task>? close)
    {
        if (_io.Input is not { } source) return;
        lock (_gate)
        {
            if (_ending is null) _input = CopyInputAsync(source.Stream, close);
        }
    }

    /// <summary>
    /// The process has ended: what is in the FIFOs is still copied, at the speed of its taker; then everything is closed and removed. It never throws.
    /// </summary>
    public Task EndAsync()
    {
        lock (_gate) return _ending ??= EndOnceAsync();
    }

    /// <summary>Likewise, and what was not taken is dropped.</summary>
    public async ValueTask DisposeAsync()
    {
        Volatile.Write(ref _abandoned, true);
        await _end.CancelAsync();
        await EndAsync();
    }

    /// <summary>Likewise without dropping any, but for a while only.</summary>
    /// <returns>False = its taker has taken nothing for 30 s, but still may.</returns>
    public async Task<bool> DeliverAsync(CancellationToken cancellation)
    {
        var end = EndAsync();
        while (true)
        {
            var taken = Interlocked.Read(ref _taken);
            try
            {
                await end.WaitAsync(TakerLimit, _parent.Time, cancellation);
                return true;
            }
            catch (TimeoutException)
            {
                if (taken == Interlocked.Read(ref _taken)) return false;
            }
        }
    }

    private async Task EndOnceAsync()
    {
        await _exited.CancelAsync();
        await _output;
        await _input;
        _fifos.Dispose();
        if (_io.Input is { } source) await TryAsync(() => source.EndAsync().AsTask());
        await _closing.DisposeAsync();
        var stays = IsFirst && _parent.Closing.IsCancellationRequested && !Volatile.Read(ref _abandoned);
        if (!stays) RemoveFolder();
        _parent.Leave(this);
    }

    private void RemoveFolder()
    {
        try
        {
            Directory.Delete(Path.GetDirectoryName(Stdout)!, recursive: true);
        }
        catch (DirectoryNotFoundException)
        {
            // another client destroyed the container
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _parent.Report(e, ContainerId);
        }
    }

    /// <summary>Copies an output to its end. What its target does not take after it has failed is dropped: the process goes on.</summary>
    private async Task CopyOutputAsync(SafeFileHandle? fifo, OutputTarget? target)
    {
        Exception? missing = null;
        try
        {
            if (fifo is not null) missing = await PassOutputAsync(fifo, target);
        }
        catch (Exception e)
        {
            missing = new IOException("the rest of the output is missing: the client was closed, or nobody took it", e);
            if (!_end.IsCancellationRequested) _parent.Report(e, ContainerId);
        }
        // A flush that ignores its token must not keep us.
        if (target is not null) await TryAsync(() => target.EndAsync(missing, _end.Token).AsTask().WaitAsync(_end.Token));
    }

    /// <returns>What the target failed with.</returns>
    private async Task<Exception?> PassOutputAsync(SafeFileHandle fifo, OutputTarget? target)
    {
        var buffer = new byte[BufferBytes];
        Exception? failure = null;
        // A read before the first writer would look like the end.
        for (var count = await ReadAsync(fifo, buffer, hasWriter: false); count > 0; count = await ReadAsync(fifo, buffer, hasWriter: true))
        {
            if (target is null || failure is not null) continue;
            try
            {
                await target.WriteAsync(buffer.AsMemory(0, count), _end.Token).AsTask().WaitAsync(_end.Token);
                Interlocked.Increment(ref _taken);
            }
            catch (Exception e) when (!_end.IsCancellationRequested)
            {
                failure = e;
                _parent.Report(e, ContainerId);
            }
        }
        return failure;
    }

    /// <returns>0 = the end.</returns>
    private async Task<int> ReadAsync(SafeFileHandle fifo, byte[] buffer, bool hasWriter)
    {
        _end.Token.ThrowIfCancellationRequested();
        if (hasWriter && Fifo.Read(fifo, buffer) is >= 0 and var now) return now;
        while (true)
        {
            try
            {
                await _poller.WaitAsync(fifo, FifoPoller.Readable, _exited.Token);
            }
            catch (OperationCanceledException) when (!_end.IsCancellationRequested)
            {
                // It ended: a FIFO that nobody writes has given all, also one that no event tells of since its writer went before we came.
                if (Fifo.Read(fifo, buffer) is >= 0 and var left) return left;
                if (!await IsReadyAfterExitAsync(fifo)) return 0;
            }
            if (Fifo.Read(fifo, buffer) is >= 0 and var count) return count;
        }
    }

    /// <returns>False = silent for too long.</returns>
    private async Task<bool> IsReadyAfterExitAsync(SafeFileHandle fifo)
    {
        using var limit = new CancellationTokenSource(SilenceLimit, _parent.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, _end.Token);
        try
        {
            await _poller.WaitAsync(fifo, FifoPoller.Readable, either.Token);
            return true;
        }
        catch (OperationCanceledException) when (!_end.IsCancellationRequested)
        {
            return false;
        }
    }

    private async Task CopyInputAsync(Stream source, Func<CancellationToken, Task>? close)
    {
        await TryAsync(() => PassInputAsync(source));
        if (close is not null && !_exited.IsCancellationRequested) await TryAsync(() => close(_exited.Token));
    }

    private async Task PassInputAsync(Stream source)
    {
        using var fifo = await OpenInputAsync();
        if (fifo is null) return;
        var buffer = new byte[BufferBytes];
        while (true)
        {
            // A stream that ignores its token must not keep us.
            var count = await source.ReadAsync(buffer, _exited.Token).AsTask().WaitAsync(_exited.Token);
            if (count == 0 || !await WriteAsync(fifo, buffer.AsMemory(0, count))) return;
        }
    }

    /// <returns>Null = the process has closed its input, before we came.</returns>
    private async Task<SafeFileHandle?> OpenInputAsync()
    {
        if (Stdin.Length == 0) return null;
        while (true)
        {
            // No event tells that the shim has opened its end.
            if (Fifo.OpenWrite(Stdin) is { } fifo) return fifo;
            if (_fifos.IsOld) return null;
            await Task.Delay(ReaderPoll, _parent.Time, _exited.Token);
        }
    }

    /// <returns>False = nobody reads it any more.</returns>
    private async Task<bool> WriteAsync(SafeFileHandle fifo, ReadOnlyMemory<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            var count = Fifo.Write(fifo, bytes.Span);
            if (count is null) return false;
            if (count > 0) bytes = bytes[count.Value..];
            else await _poller.WaitAsync(fifo, FifoPoller.Writable, _exited.Token);
        }
        return true;
    }

    /// <summary>Does what may fail; failures are reported, but for those of the end itself.</summary>
    private async Task TryAsync(Func<Task> act)
    {
        try
        {
            await act();
        }
        catch (Exception e)
        {
            if (!_exited.IsCancellationRequested) _parent.Report(e, ContainerId);
        }
    }
}
