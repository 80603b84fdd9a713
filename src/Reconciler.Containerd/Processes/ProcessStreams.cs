using System.Runtime.ExceptionServices;
using Microsoft.Win32.SafeHandles;

namespace Reconciler.Containerd;

/// <summary>The FIFOs of one process in a folder of their own, and what copies between them and .NET streams.</summary>
internal sealed class ProcessStreams : IDisposable
{
    private const int BufferBytes = 64 * 1024;

    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    /// <summary>How long output may be silent after the exit while something else holds its end open.</summary>
    private static readonly TimeSpan SilenceLimit = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan ReaderPoll = TimeSpan.FromMilliseconds(20);

    private readonly FifoPoller _poller;
    private readonly TimeProvider _time;
    private readonly ExecProcess _process;
    private readonly string _folder = "";
    private readonly SafeFileHandle? _stdout;
    private readonly SafeFileHandle? _stderr;
    private int _disposed;

    /// <summary>Makes the FIFOs and opens their read ends, without which the shim would wait.</summary>
    /// <exception cref="IOException">They cannot be made.</exception>
    /// <exception cref="UnauthorizedAccessException">Likewise.</exception>
    public ProcessStreams(ExecProcess process, string parent, FifoPoller poller, TimeProvider time)
    {
        (_process, _poller, _time) = (process, poller, time);
        if (process is { Stdin: null, Stdout: null, Stderr: null }) return;
        _folder = Path.Join(parent, Guid.NewGuid().ToString("N"));
        Directory.CreateDirectory(parent, OwnerOnly);
        Directory.CreateDirectory(_folder, OwnerOnly);
        try
        {
            if (process.Stdin is not null) Fifo.Make(Stdin);
            // One of them alone would make the shim fail.
            _stdout = MakeOpen(Stdout);
            _stderr = MakeOpen(Stderr);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Empty = none.</summary>
    public string Stdin => _process.Stdin is null ? "" : PathOf("stdin");

    /// <summary>Empty = none.</summary>
    public string Stdout => PathOf("stdout");

    /// <summary>Empty = none.</summary>
    public string Stderr => PathOf("stderr");

    /// <summary>Copies the output until its end.</summary>
    /// <param name="exited">Cancelled at the exit; what is in the FIFOs is still read, at the speed of its taker.</param>
    /// <param name="end">Cancelled when nobody wants it any more.</param>
    public Task CopyOutputAsync(CancellationToken exited, CancellationToken end) => Task.WhenAll(
        CopyAsync(_stdout, _process.Stdout, exited, end), CopyAsync(_stderr, _process.Stderr, exited, end));

    /// <summary>Copies the input to its end, or until the process no longer reads it.</summary>
    /// <param name="end">Cancelled at the exit.</param>
    public async Task CopyInputAsync(CancellationToken end)
    {
        if (_process.Stdin is not { } source) return;
        using var fifo = await OpenInputAsync(end);
        var buffer = new byte[BufferBytes];
        while (true)
        {
            // A stream that ignores its token must not keep us.
            var count = await source.ReadAsync(buffer, end).AsTask().WaitAsync(end);
            if (count == 0 || !await WriteAsync(fifo, buffer.AsMemory(0, count), end)) return;
        }
    }

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        _stdout?.Dispose();
        _stderr?.Dispose();
        if (Directory.Exists(_folder)) Directory.Delete(_folder, recursive: true);
    }

    private string PathOf(string name) => _folder.Length == 0 ? "" : Path.Join(_folder, name);

    private static SafeFileHandle MakeOpen(string path)
    {
        Fifo.Make(path);
        return Fifo.OpenRead(path);
    }

    /// <exception cref="Exception">What the target threw first: the process was kept going, and its output dropped from there on.</exception>
    private async Task CopyAsync(SafeFileHandle? fifo, Stream? target, CancellationToken exited, CancellationToken end)
    {
        if (fifo is null) return;
        var buffer = new byte[BufferBytes];
        var taker = target ?? Stream.Null;
        Exception? failure = null;
        // A read before the first writer would look like the end.
        while (await IsReadyAsync(fifo, exited, end))
        {
            var count = Fifo.Read(fifo, buffer);
            if (count == 0) break;
            if (count < 0 || failure is not null) continue;
            try
            {
                await taker.WriteAsync(buffer.AsMemory(0, count), end).AsTask().WaitAsync(end);
            }
            catch (Exception e) when (!end.IsCancellationRequested)
            {
                failure = e;
            }
        }
        if (failure is not null) ExceptionDispatchInfo.Throw(failure);
        await taker.FlushAsync(end).WaitAsync(end);
    }

    /// <returns>False = silent for too long after the exit.</returns>
    private async Task<bool> IsReadyAsync(SafeFileHandle fifo, CancellationToken exited, CancellationToken end)
    {
        using (var either = CancellationTokenSource.CreateLinkedTokenSource(exited, end))
        {
            try
            {
                await _poller.WaitAsync(fifo, FifoPoller.Readable, either.Token);
                return true;
            }
            catch (OperationCanceledException) when (!end.IsCancellationRequested)
            {
                // it ended: what is left comes soon
            }
        }
        using var limit = new CancellationTokenSource(SilenceLimit, _time);
        using var last = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, end);
        try
        {
            await _poller.WaitAsync(fifo, FifoPoller.Readable, last.Token);
            return true;
        }
        catch (OperationCanceledException) when (!end.IsCancellationRequested)
        {
            return false;
        }
    }

    private async Task<SafeFileHandle> OpenInputAsync(CancellationToken end)
    {
        while (true)
        {
            // No event tells that the shim has opened its end.
            if (Fifo.OpenWrite(Stdin) is { } fifo) return fifo;
            await Task.Delay(ReaderPoll, _time, end);
        }
    }

    private async Task<bool> WriteAsync(SafeFileHandle fifo, ReadOnlyMemory<byte> bytes, CancellationToken end)
    {
        while (bytes.Length > 0)
        {
            var count = Fifo.Write(fifo, bytes.Span);
            if (count is null) return false;
            if (count > 0) bytes = bytes[count.Value..];
            else await _poller.WaitAsync(fifo, FifoPoller.Writable, end);
        }
        return true;
    }
}
