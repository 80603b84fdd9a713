using System.Globalization;

namespace Reconciler.Agent.Logs;

/// <summary>The two files one incarnation writes to, as full host paths.</summary>
/// <param name="Out">Standard output.</param>
/// <param name="Err">Standard error.</param>
public sealed record LogPaths(string Out, string Err)
{
    /// <summary>What was cut off a log file last lies beside it as number 1, what was cut off before that as 2, and so on.</summary>
    internal static string PieceOf(string log, int number = 1) => string.Create(CultureInfo.InvariantCulture, $"{log}.{number}");

    /// <summary>Numbers of the pieces that are there, the newest piece's first.</summary>
    internal static List<int> PiecesOf(string log)
    {
        var found = new List<int>();
        foreach (var path in Directory.EnumerateFiles(Path.GetDirectoryName(log)!, Path.GetFileName(log) + ".*"))
            if (NumberOf(path.AsSpan(log.Length)) is { } number) found.Add(number);
        found.Sort();
        return found;
    }

    internal static string UnfinishedPieceOf(string log) => log + ".1.tmp";

    internal static string JournalOf(string log) => log + ".cut";

    internal static string UnfinishedJournalOf(string log) => log + ".cut.tmp";

    /// <summary>The log that a piece or journal belongs to; null = the file is none.</summary>
    internal static string? LogOf(string file)
    {
        foreach (var stream in new[] { ".out.", ".err." })
        {
            var at = file.LastIndexOf(stream, StringComparison.Ordinal) + stream.Length - 1;
            if (at >= stream.Length && (file.AsSpan(at) is ".1.tmp" or ".cut" or ".cut.tmp" || NumberOf(file.AsSpan(at)) is not null)) return file[..at];
        }
        return null;
    }

    private static int? NumberOf(ReadOnlySpan<char> end) =>
        end is ['.', >= '1' and <= '9', ..] && int.TryParse(end[1..], NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;
}

/// <summary>A container that runs, for <see cref="LogFiles.FindBroken"/>.</summary>
/// <param name="Id">Container id.</param>
/// <param name="Pid">Pid of its init process.</param>
/// <param name="Logs">Where its output goes.</param>
public sealed record RunningLog(string Id, int Pid, LogPaths Logs);
