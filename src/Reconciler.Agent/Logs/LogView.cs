using Microsoft.Win32.SafeHandles;
using Reconciler.Agent.Node;

namespace Reconciler.Agent.Logs;

/// <summary>
/// A log as one stretch of numbered bytes, the pieces and the live file in one, read while the cutter works: whatever was read while the layout changed
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
            var start = layout.LiveStart - Pieces(layout).Sum(piece => piece.Length);
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
            if (ReadAt(layout, from, buffer) is not { } found || Take() != layout) continue;
            var (at, read) = found;
            _seenStart = layout.LiveStart;
            lost = Math.Max(0, at - from);
            offset = at + read;
            return read;
        }
    }

    public void Dispose() => _live.Dispose();

    /// <summary>Null = a piece went while it was looked for.</summary>
    private (long At, int Read)? ReadAt(Layout layout, long at, Span<byte> buffer)
    {
        if (at < layout.LiveStart)
        {
            var pieces = Pieces(layout);
            var start = layout.LiveStart - pieces.Sum(piece => piece.Length);
            foreach (var piece in Enumerable.Reverse(pieces))
            {
                var end = start + piece.Length;
                at = Math.Max(at, start);
                if (at < end)
                {
                    if (ReadPiece(piece, at - start, buffer[..(int)Math.Min(buffer.Length, end - at)]) is not { } read) return null;
                    if (read > 0) return (at, read);
                }
                start = end;
            }
            at = layout.LiveStart;
        }
        return (at, RandomAccess.Read(_live, buffer, at - layout.Origin));
    }

    private static int? ReadPiece(Piece piece, long offset, Span<byte> buffer)
    {
        try
        {
            using var file = OpenToRead(piece.Path);
            return Libc.Status(file).Id.Inode == piece.Inode ? RandomAccess.Read(file, buffer, offset) : null;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null; // renamed, or removed for good
        }
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
                return new Layout(journal, journal.Base, journal.Base, false) { LacksNewest = true };
            default:
                return new Layout(journal, journal.Base, journal.Base, journal.Truncated);
        }
    }

    /// <summary>The pieces that end where the live file begins, the newest first; none where the newest is gone.</summary>
    private List<Piece> Pieces(Layout layout)
    {
        var found = new List<Piece>();
        var newest = layout.Journal.Piece;
        if (newest == 0) return found;
        // In this order: a rename between two looks goes from one name to the next.
        Add(LogPaths.UnfinishedPieceOf(_log), inode => inode == newest);
        Add(LogPaths.PieceOf(_log), inode => inode == newest && found.Count == 0);
        if (found.Count == 0) return found;
        var numbers = LogPaths.PiecesOf(_log);
        for (var number = 1; numbers.Count > 0 && number <= numbers[^1] + 1; number++)
            Add(LogPaths.PieceOf(_log, number), inode => inode != newest && !found.Exists(piece => piece.Inode == inode));
        if (layout.LacksNewest) found.RemoveAt(0);
        return found;

        void Add(string path, Predicate<ulong> belongs)
        {
            if (Libc.Status(path) is { } status && belongs(status.Id.Inode)) found.Add(new Piece(path, status.Id.Inode, status.Size));
        }
    }

    private static SafeFileHandle OpenToRead(string path) =>
        File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);

    /// <param name="Journal">As read.</param>
    /// <param name="LiveStart">Number of the first byte to take from the live file; the piece ends there.</param>
    /// <param name="Origin">Number that the live file's offset 0 has.</param>
    /// <param name="Emptied">The live file was emptied at LiveStart.</param>
    private sealed record Layout(LogJournal Journal, long LiveStart, long Origin, bool Emptied)
    {
        /// <summary>What is in the newest piece is still in the live file.</summary>
        public bool LacksNewest { get; init; }
    }

    private readonly record struct Piece(string Path, ulong Inode, long Length);
}
