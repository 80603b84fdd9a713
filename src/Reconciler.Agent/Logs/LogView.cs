using Microsoft.Win32.SafeHandles;
using Reconciler.Agent.Node;

namespace Reconciler.Agent.Logs;

/// <summary>
/// A log as one stretch of numbered bytes, the piece and the live file in one, read while the cutter works: whatever was read while the layout changed
/// is read again. It needs no agent, and gives a cut that was killed half way the same bytes as before.
/// </summary>
internal sealed class LogView : IDisposable
{
    private readonly string _log;
    private readonly SafeFileHandle _live;
    private readonly FileId _id;
    private long _seenStart;

    private LogView(string log, SafeFileHandle live)
    {
        _log = log;
        _live = live;
        _id = Libc.Status(live).Id;
        _seenStart = Take().LiveStart;
    }

    /// <summary>Null = there is no such log.</summary>
    public static LogView? Open(string log)
    {
        try
        {
            return new LogView(log, OpenToRead(log));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    /// <summary>The path still names the file that was opened.</summary>
    public bool IsCurrent => Libc.Status(_log)?.Id == _id;

    /// <summary>Numbers of the first byte that is still there and of the one after the last.</summary>
    public (long Start, long End) Range()
    {
        while (true)
        {
            var layout = Take();
            using var piece = OpenPiece(layout);
            var start = piece is null ? layout.LiveStart : layout.LiveStart - RandomAccess.GetLength(piece);
            var end = Math.Max(layout.LiveStart, layout.Origin + RandomAccess.GetLength(_live));
            if (Take() == layout) return (start, end);
        }
    }

    /// <summary>Reads on at <paramref name="offset"/> and moves it behind what was read, first over what is gone for good.</summary>
    /// <param name="offset">Number of a byte.</param>
    /// <param name="buffer">Filled from its start.</param>
    /// <param name="lost">Bytes that were cut off before they could be read.</param>
    /// <returns>Bytes read; 0 at the end.</returns>
    public int Read(ref long offset, Span<byte> buffer, out long lost)
    {
        while (true)
        {
            var layout = Take();
            var from = Settle(offset, layout);
            var (at, read) = ReadAt(layout, from, buffer);
            if (Take() != layout) continue;
            _seenStart = layout.LiveStart;
            lost = Math.Max(0, at - from);
            offset = at + read;
            return read;
        }
    }

    public void Dispose() => _live.Dispose();

    private (long At, int Read) ReadAt(Layout layout, long at, Span<byte> buffer)
    {
        if (at < layout.LiveStart)
        {
            using var piece = OpenPiece(layout);
            if (piece is not null)
            {
                var start = layout.LiveStart - RandomAccess.GetLength(piece);
                at = Math.Max(at, start);
                var length = (int)Math.Min(buffer.Length, layout.LiveStart - at);
                var read = RandomAccess.Read(piece, buffer[..length], at - start);
                if (read > 0) return (at, read);
            }
            at = layout.LiveStart;
        }
        return (at, RandomAccess.Read(_live, buffer, at - layout.Origin));
    }

    /// <summary>Where to go on in a file that was emptied: what is in it now is all new.</summary>
    private long Settle(long offset, Layout layout)
    {
        var isEmptied = layout.Emptied && layout.LiveStart > _seenStart;
        return offset > layout.LiveStart && (isEmptied || offset > layout.Origin + RandomAccess.GetLength(_live)) ? layout.LiveStart : offset;
    }

    private Layout Take()
    {
        var journal = LogJournal.Read(_log);
        var end = journal.Base + journal.Cut;
        switch (journal.Phase)
        {
            case CutPhase.Copied:
            case CutPhase.Punched when Libc.StartsWithHole(_live, journal.Cut):
                return new Layout(journal, end, journal.Base, false);
            case CutPhase.Punched:
                return new Layout(journal, end, end, false);
            case CutPhase.Truncating when RandomAccess.GetLength(_live) < journal.Cut:
                var piece = Libc.Status(LogPaths.PieceOf(_log));
                var more = piece is { } status && status.Id.Inode == journal.Piece ? Math.Max(0, status.Size - journal.PieceLength) : 0;
                return new Layout(journal, end + more, end + more, true);
            case CutPhase.Truncating:
                return new Layout(journal with { Piece = 0 }, journal.Base, journal.Base, false);
            default:
                return new Layout(journal, journal.Base, journal.Base, journal.Truncated);
        }
    }

    private SafeFileHandle? OpenPiece(Layout layout)
    {
        if (layout.Journal.Piece == 0) return null;
        // In this order: a rename between the two looks goes from the first name to the second.
        foreach (var path in new[] { LogPaths.UnfinishedPieceOf(_log), LogPaths.PieceOf(_log) })
        {
            if (Libc.Status(path)?.Id.Inode != layout.Journal.Piece) continue;
            try
            {
                var piece = OpenToRead(path);
                if (Libc.Status(piece).Id.Inode == layout.Journal.Piece) return piece;
                piece.Dispose();
            }
            catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
            {
                // renamed, or removed for good
            }
        }
        return null;
    }

    private static SafeFileHandle OpenToRead(string path) =>
        File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);

    /// <param name="Journal">As read.</param>
    /// <param name="LiveStart">Number of the first byte to take from the live file; the piece ends there.</param>
    /// <param name="Origin">Number that the live file's offset 0 has.</param>
    /// <param name="Emptied">The live file was emptied at LiveStart.</param>
    private sealed record Layout(LogJournal Journal, long LiveStart, long Origin, bool Emptied);
}
