using System.Globalization;
using System.Text;
using Reconciler.Agent.Node;

namespace Reconciler.Agent.Logs;

/// <summary>How far a cut has come; each is durable before the next step begins.</summary>
internal enum CutPhase
{
    /// <summary>No cut is under way.</summary>
    Settled,

    /// <summary>The first bytes are in the piece, which may still have its unfinished name. The log still begins with them, or with a hole.</summary>
    Copied,

    /// <summary>The log begins with a hole in their place, or they are gone already: a hole tells which.</summary>
    Punched,

    /// <summary>The whole log is in the piece and is being emptied.</summary>
    Truncating,
}

/// <summary>What is known about the part of a log that was cut off, kept beside it. Bytes are numbered from the first ever written.</summary>
/// <param name="Base">Number of the log's first byte before the cut under way.</param>
/// <param name="Cut">Bytes the cut under way removes.</param>
/// <param name="Piece">Inode of the piece that ends where the log begins; 0 = none.</param>
/// <param name="PieceLength">Its length when it was recorded.</param>
/// <param name="Truncated">The last cut emptied the file: bytes written at that moment may be lost.</param>
internal sealed record LogJournal(long Base, CutPhase Phase, long Cut, ulong Piece, long PieceLength, bool Truncated)
{
    public static readonly LogJournal None = new(0, CutPhase.Settled, 0, 0, 0, false);

    public static LogJournal Read(string log)
    {
        var path = LogPaths.JournalOf(log);
        if (!File.Exists(path)) return None; // the usual case, and an exception costs more than the look
        try
        {
            return Parse(File.ReadAllText(path)) ?? None;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return None;
        }
    }

    /// <summary>Atomic, and durable on return.</summary>
    public void Write(string log)
    {
        var text = string.Create(CultureInfo.InvariantCulture, $"1 {Base} {(int)Phase} {Cut} {Piece} {PieceLength} {(Truncated ? 1 : 0)}\n");
        using (var file = File.OpenHandle(LogPaths.UnfinishedJournalOf(log), FileMode.Create, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete))
        {
            RandomAccess.Write(file, Encoding.ASCII.GetBytes(text), 0);
            RandomAccess.FlushToDisk(file);
        }
        File.Move(LogPaths.UnfinishedJournalOf(log), LogPaths.JournalOf(log), overwrite: true);
        Libc.FlushFolder(Path.GetDirectoryName(log)!);
    }

    private static LogJournal? Parse(string text)
    {
        var fields = text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        if (fields.Length != 7 || fields[0] != "1") return null;
        var numbers = new ulong[6];
        for (var i = 0; i < numbers.Length; i++)
            if (!ulong.TryParse(fields[i + 1], NumberStyles.None, CultureInfo.InvariantCulture, out numbers[i])) return null;
        return numbers[1] <= (ulong)CutPhase.Truncating
            ? new LogJournal((long)numbers[0], (CutPhase)numbers[1], (long)numbers[2], numbers[3], (long)numbers[4], numbers[5] == 1)
            : null;
    }
}
