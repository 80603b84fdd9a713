namespace Reconciler.Agent.Logs;

/// <summary>The two files one incarnation writes to, as full host paths.</summary>
/// <param name="Out">Standard output.</param>
/// <param name="Err">Standard error.</param>
public sealed record LogPaths(string Out, string Err)
{
    /// <summary>What was cut off a log file last lies beside it.</summary>
    internal static string PieceOf(string log) => log + ".1";

    internal static string UnfinishedPieceOf(string log) => log + ".1.tmp";

    internal static string JournalOf(string log) => log + ".cut";

    internal static string UnfinishedJournalOf(string log) => log + ".cut.tmp";

    /// <summary>The log that a piece or journal belongs to; null = the file is none.</summary>
    internal static string? LogOf(string file)
    {
        foreach (var end in new[] { ".1", ".1.tmp", ".cut", ".cut.tmp" })
            if (file.EndsWith(".out" + end, StringComparison.Ordinal) || file.EndsWith(".err" + end, StringComparison.Ordinal)) return file[..^end.Length];
        return null;
    }
}

/// <summary>A container that runs, for <see cref="LogFiles.FindBroken"/>.</summary>
/// <param name="Id">Container id.</param>
/// <param name="Pid">Pid of its init process.</param>
/// <param name="Logs">Where its output goes.</param>
public sealed record RunningLog(string Id, int Pid, LogPaths Logs);
