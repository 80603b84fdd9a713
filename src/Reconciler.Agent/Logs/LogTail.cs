namespace Reconciler.Agent.Logs;

/// <summary>Reads one stream of one incarnation forward and passes on whole lines, so that two streams can share an output.</summary>
internal sealed class LogTail : IDisposable
{
    private const int ChunkSize = 64 * 1024;
    private const byte NewLine = (byte)'\n';

    private readonly LogView _view;
    private readonly byte[] _buffer = new byte[ChunkSize];
    private long _offset;
    private int _kept;

    private LogTail(LogView view, long offset)
    {
        _view = view;
        _offset = offset;
    }

    /// <summary>Bytes that were gone before they could be read.</summary>
    public long Lost { get; private set; }

    public bool IsCurrent => _view.IsCurrent;

    /// <summary>Null = there is no such log.</summary>
    /// <param name="log">Path of the log file.</param>
    /// <param name="lines">Begin this many lines before the end; null = at the first byte there is.</param>
    public static LogTail? Open(string log, int? lines)
    {
        var view = LogView.Open(log);
        if (view is null) return null;
        var (start, end) = view.Range();
        return new LogTail(view, lines is { } count ? StartOfLast(view, count, start, end) : start);
    }

    /// <summary>Copies all there is now; an unfinished last line is held back.</summary>
    /// <returns>False = there was nothing new.</returns>
    public async Task<bool> CopyAsync(Stream output, CancellationToken cancellation)
    {
        var end = _view.Range().End;
        var any = false;
        do
        {
            var read = _view.Read(ref _offset, _buffer.AsSpan(_kept), out var lost);
            Lost += lost;
            if (read == 0) break;
            any = true;
            _kept += read;
            var whole = _buffer.AsSpan(0, _kept).LastIndexOf(NewLine) + 1;
            if (whole == 0 && _kept == _buffer.Length) whole = _kept;
            if (whole == 0) continue;
            await output.WriteAsync(_buffer.AsMemory(0, whole), cancellation);
            _buffer.AsSpan(whole, _kept - whole).CopyTo(_buffer);
            _kept -= whole;
        }
        while (_offset < end);
        return any;
    }

    /// <summary>Passes on the unfinished line.</summary>
    public async Task FlushAsync(Stream output, CancellationToken cancellation)
    {
        if (_kept > 0) await output.WriteAsync(_buffer.AsMemory(0, _kept), cancellation);
        _kept = 0;
    }

    public void Dispose() => _view.Dispose();

    private static long StartOfLast(LogView view, int lines, long start, long end)
    {
        if (lines <= 0) return end;
        var buffer = new byte[ChunkSize];
        var wanted = lines + 1; // the newline before the first wanted line
        for (var chunkEnd = end; chunkEnd > start;)
        {
            var chunkStart = Math.Max(start, chunkEnd - ChunkSize);
            var read = Fill(view, chunkStart, buffer.AsSpan(0, (int)(chunkEnd - chunkStart)));
            if (read is null)
            {
                (start, end) = view.Range(); // a cut took the chunk away
                return StartOfLast(view, lines, start, end);
            }
            if (chunkEnd == end && buffer[chunkEnd - chunkStart - 1] != NewLine) wanted--;
            for (var at = read.Value - 1; at >= 0; at--)
                if (buffer[at] == NewLine && --wanted == 0) return chunkStart + at + 1;
            chunkEnd = chunkStart;
        }
        return start;
    }

    private static int? Fill(LogView view, long offset, Span<byte> chunk)
    {
        var filled = 0;
        while (filled < chunk.Length)
        {
            var read = view.Read(ref offset, chunk[filled..], out var lost);
            if (lost > 0 || read == 0) return null;
            filled += read;
        }
        return filled;
    }
}
