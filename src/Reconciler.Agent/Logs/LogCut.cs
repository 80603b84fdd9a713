using System.Buffers;
using Microsoft.Win32.SafeHandles;
using Reconciler.Agent.Node;

namespace Reconciler.Agent.Logs;

/// <summary>The steps of one cut, for tests that stop between two of them.</summary>
internal enum CutStep
{
    Copied,
    CopyRecorded,
    PieceShifted,
    PieceInPlace,
    Emptied,
    EmptyingRecorded,
    Removed,
}

/// <summary>
/// Cuts the front off a log while its shim appends to it, and keeps what was cut off as a piece. A cut that was killed between two steps is finished
/// by the next one: the front is first made a hole, because only a hole tells afterwards whether it was already removed. Pieces and log are one stretch
/// of what was written: where a cut would leave a gap between two pieces, the older ones go.
/// </summary>
/// <param name="log">Path of the live file.</param>
/// <param name="pieces">How many pieces stay, 0 or more; the oldest goes when another comes.</param>
/// <param name="onStep">For tests.</param>
internal sealed class LogCut(string log, int pieces = 1, Action<CutStep>? onStep = null)
{
    private const int ChunkSize = 256 * 1024;

    /// <summary>Cuts off all but <paramref name="leave"/> bytes and less than a block, and at most <paramref name="keep"/> bytes, which become a piece.</summary>
    /// <param name="collapses">The file system can remove the front of a file. If not, the whole file is emptied, and its last <paramref name="keep"/> bytes are the piece.</param>
    /// <param name="keep">Size of the piece; 0 = what is cut off is lost, and the pieces with it.</param>
    /// <param name="leave">Bytes to leave where the front can be removed.</param>
    /// <param name="cancellation">Ends the copying.</param>
    /// <returns>Bytes cut off.</returns>
    public long Run(bool collapses, long keep, long leave, CancellationToken cancellation)
    {
        Finish();
        using var live = Open(log);
        if (!collapses) return Truncate(live, keep, cancellation);
        var status = Libc.Status(live);
        if (pieces == 0) keep = 0;
        if (status.Size > 0 && Libc.HoleAtStart(live) is > 0 and var hole) return Collapse(live, LogJournal.Read(log), hole); // see Unrecorded
        var most = status.Size - Math.Max(leave, 1);
        var cut = (keep > 0 ? Math.Min(most, keep) : most) / status.BlockSize * status.BlockSize;
        if (cut <= 0) return 0;
        try
        {
            var journal = Copy(live, LogJournal.Read(log) with { Phase = CutPhase.Copied, Cut = cut, Truncated = false }, keep, cancellation);
            FinishCollapse(live, journal);
            return cut;
        }
        catch (IOException e) when (IsFull(e) && LogJournal.Read(log).Phase == CutPhase.Settled)
        {
            return Unrecorded(live, cut);
        }
    }

    /// <summary>
    /// On a disk without room for the record there is space first and the record after it. Killed in between, it is the hole that tells the next cut: nobody
    /// but we makes one.
    /// </summary>
    private long Unrecorded(SafeFileHandle live, long cut)
    {
        DeletePieces();
        Libc.PunchStart(live, cut);
        return Collapse(live, LogJournal.Read(log), cut);
    }

    private long Collapse(SafeFileHandle live, LogJournal journal, long hole)
    {
        DeletePieces();
        journal = journal with { Phase = CutPhase.Punched, Cut = hole, Piece = 0, PieceLength = 0, Truncated = false };
        journal.Write(log);
        FinishCollapse(live, journal);
        return hole;
    }

    /// <summary>Ends a cut that was interrupted.</summary>
    public void Finish()
    {
        var journal = LogJournal.Read(log);
        if (journal.Phase == CutPhase.Settled)
        {
            File.Delete(LogPaths.UnfinishedPieceOf(log));
            return;
        }
        using var live = Open(log);
        if (journal.Phase == CutPhase.Truncating) FinishTruncate(live, journal);
        else FinishCollapse(live, journal);
    }

    private LogJournal Copy(SafeFileHandle live, LogJournal journal, long keep, CancellationToken cancellation)
    {
        if (keep < journal.Cut || journal.Piece == 0 || Libc.Status(LogPaths.PieceOf(log))?.Id.Inode != journal.Piece) ForgetPieces();
        journal = keep > 0 && pieces > 0 ? CopyPiece(live, journal, keep, cancellation) : journal with { Piece = 0, PieceLength = 0 };
        onStep?.Invoke(CutStep.Copied);
        journal.Write(log);
        onStep?.Invoke(CutStep.CopyRecorded);
        return journal;
    }

    private LogJournal CopyPiece(SafeFileHandle live, LogJournal journal, long keep, CancellationToken cancellation)
    {
        try
        {
            using var piece = File.OpenHandle(LogPaths.UnfinishedPieceOf(log), FileMode.Create, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete);
            var length = CopyRange(live, Math.Max(0, journal.Cut - keep), journal.Cut, piece, 0, cancellation);
            RandomAccess.FlushToDisk(piece);
            return journal with { Piece = Libc.Status(piece).Id.Inode, PieceLength = length };
        }
        catch (IOException e) when (IsFull(e))
        {
            File.Delete(LogPaths.UnfinishedPieceOf(log)); // a full disk needs the cut more than the piece
            var older = LogPaths.PiecesOf(log);
            if (older.Count == 0) return journal with { Piece = 0, PieceLength = 0 };
            if (older.Count == 1) ForgetPieces();
            else File.Delete(LogPaths.PieceOf(log, older[^1]));
            return CopyPiece(live, journal, keep, cancellation);
        }
    }

    private void FinishCollapse(SafeFileHandle live, LogJournal journal)
    {
        if (journal.Phase == CutPhase.Copied)
        {
            PutPiece(journal);
            Libc.PunchStart(live, journal.Cut);
            RandomAccess.FlushToDisk(live);
            onStep?.Invoke(CutStep.Emptied);
            journal = journal with { Phase = CutPhase.Punched };
            journal.Write(log);
            onStep?.Invoke(CutStep.EmptyingRecorded);
        }
        if (Libc.StartsWithHole(live, journal.Cut)) RemoveHole(live, journal.Cut);
        RandomAccess.FlushToDisk(live);
        onStep?.Invoke(CutStep.Removed);
        (journal with { Base = journal.Base + journal.Cut, Phase = CutPhase.Settled, Cut = 0 }).Write(log);
    }

    private static void RemoveHole(SafeFileHandle live, long length)
    {
        var size = Libc.Status(live).Size;
        if (size > length) Libc.CollapseStart(live, length);
        else if (size > 0) RandomAccess.SetLength(live, 0); // someone shortened it meanwhile
    }

    private void PutPiece(LogJournal journal)
    {
        var unfinished = LogPaths.UnfinishedPieceOf(log);
        if (journal.Piece == 0)
        {
            DeletePieces();
        }
        else if (Libc.Status(unfinished)?.Id.Inode == journal.Piece)
        {
            ShiftPieces();
            File.Move(unfinished, LogPaths.PieceOf(log), overwrite: true);
        }
        Libc.FlushFolder(Path.GetDirectoryName(log)!);
        onStep?.Invoke(CutStep.PieceInPlace);
    }

    /// <summary>Frees number 1. From the oldest on, so that a reader who looks at the numbers upwards meanwhile misses none.</summary>
    private void ShiftPieces()
    {
        foreach (var number in LogPaths.PiecesOf(log).Where(number => number > pieces)) File.Delete(LogPaths.PieceOf(log, number));
        var free = 1;
        while (free < pieces && File.Exists(LogPaths.PieceOf(log, free))) free++;
        for (; free > 1; free--)
        {
            File.Move(LogPaths.PieceOf(log, free - 1), LogPaths.PieceOf(log, free), overwrite: true);
            onStep?.Invoke(CutStep.PieceShifted);
        }
    }

    /// <summary>Recorded before another file is made: that one may get the inode of the piece that went.</summary>
    private void ForgetPieces()
    {
        DeletePieces();
        if (LogJournal.Read(log) is { Piece: > 0 } journal) (journal with { Piece = 0, PieceLength = 0 }).Write(log);
    }

    /// <summary>The oldest first: what is left at any moment is one stretch.</summary>
    private void DeletePieces()
    {
        foreach (var number in Enumerable.Reverse(LogPaths.PiecesOf(log))) File.Delete(LogPaths.PieceOf(log, number));
    }

    private long Truncate(SafeFileHandle live, long keep, CancellationToken cancellation)
    {
        var size = RandomAccess.GetLength(live);
        if (size == 0) return 0;
        if (pieces == 0) keep = 0;
        try
        {
            var journal = Copy(live, LogJournal.Read(log) with { Phase = CutPhase.Truncating, Cut = size }, keep, cancellation);
            FinishTruncate(live, journal);
            return size;
        }
        catch (IOException e) when (IsFull(e) && LogJournal.Read(log) is { Phase: CutPhase.Settled } journal)
        {
            // No room for the record: space first.
            DeletePieces();
            RandomAccess.SetLength(live, 0);
            (journal with { Base = journal.Base + size, Piece = 0, PieceLength = 0, Truncated = true }).Write(log);
            return size;
        }
    }

    private void FinishTruncate(SafeFileHandle live, LogJournal journal)
    {
        PutPiece(journal);
        var more = 0L;
        if (journal.Piece == 0)
        {
            RandomAccess.SetLength(live, 0);
        }
        else
        {
            using var piece = File.OpenHandle(LogPaths.PieceOf(log), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
            if (IsStillWhole(live, piece, journal))
            {
                CopyRest(live, piece, journal);
                RandomAccess.SetLength(live, 0);
            }
            more = Math.Max(0, RandomAccess.GetLength(piece) - journal.PieceLength);
            RandomAccess.FlushToDisk(piece);
        }
        onStep?.Invoke(CutStep.Removed);
        (journal with { Base = journal.Base + journal.Cut + more, Phase = CutPhase.Settled, Cut = 0, Truncated = true }).Write(log);
    }

    /// <summary>What came during the copy goes into the piece too; only what is written between the last round and the emptying is lost.</summary>
    private static void CopyRest(SafeFileHandle live, SafeFileHandle piece, LogJournal journal)
    {
        try
        {
            var done = 0L;
            for (var round = 0; round < 8; round++)
            {
                var copied = CopyRange(live, journal.Cut + done, RandomAccess.GetLength(live), piece, journal.PieceLength + done, CancellationToken.None);
                if (copied == 0) return;
                done += copied;
            }
        }
        catch (IOException e) when (IsFull(e))
        {
            // emptying is what makes room
        }
    }

    /// <summary>False = it was emptied before the cut was interrupted, and holds new bytes.</summary>
    private static bool IsStillWhole(SafeFileHandle live, SafeFileHandle piece, LogJournal journal)
    {
        if (RandomAccess.GetLength(live) < journal.Cut || RandomAccess.GetLength(piece) < journal.PieceLength) return false;
        var left = new byte[ChunkSize];
        var right = new byte[ChunkSize];
        for (var at = 0L; at < journal.PieceLength;)
        {
            var length = (int)Math.Min(ChunkSize, journal.PieceLength - at);
            var read = RandomAccess.Read(piece, left.AsSpan(0, length), at);
            var other = RandomAccess.Read(live, right.AsSpan(0, read), journal.Cut - journal.PieceLength + at);
            if (read == 0 || other < read || !left.AsSpan(0, read).SequenceEqual(right.AsSpan(0, read))) return false;
            at += read;
        }
        return true;
    }

    private static long CopyRange(SafeFileHandle from, long start, long end, SafeFileHandle to, long at, CancellationToken cancellation)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(ChunkSize);
        try
        {
            var position = start;
            while (position < end)
            {
                cancellation.ThrowIfCancellationRequested();
                var read = RandomAccess.Read(from, buffer.AsSpan(0, (int)Math.Min(buffer.Length, end - position)), position);
                if (read == 0) break;
                RandomAccess.Write(to, buffer.AsSpan(0, read), at + position - start);
                position += read;
            }
            return position - start;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static bool IsFull(IOException e) => e.HResult is Libc.NoSpace or Libc.QuotaExceeded;

    private static SafeFileHandle Open(string path) =>
        File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
}
