using System.Globalization;

namespace Reconciler.Agent.Runtime;

/// <summary>The signal an image wants to be stopped with.</summary>
internal static class StopSignals
{
    private const int Sigterm = 15;
    private const int RealTimeMin = 34;
    private const int RealTimeMax = 64;

    private static readonly string[] Names =
    [
        "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT",
        "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];

    /// <summary>A name with or without SIG, RTMIN+n, RTMAX-n, or a number; SIGTERM for nothing or for what is not understood.</summary>
    public static int Parse(string signal)
    {
        var name = signal.Trim().ToUpperInvariant();
        if (name.StartsWith("SIG", StringComparison.Ordinal)) name = name[3..];
        if (name.Length == 0) return Sigterm;
        if (Number(name) is { } number) return number is > 0 and <= RealTimeMax ? number : Sigterm;
        if (name.StartsWith("RTMIN", StringComparison.Ordinal)) return RealTime(RealTimeMin + (Number(name[5..]) ?? 0));
        if (name.StartsWith("RTMAX", StringComparison.Ordinal)) return RealTime(RealTimeMax + (Number(name[5..]) ?? 0));
        var index = Array.IndexOf(Names, name);
        return index > 0 ? index : Sigterm;
    }

    private static int RealTime(int number) => number is >= RealTimeMin and <= RealTimeMax ? number : Sigterm;

    private static int? Number(string text) =>
        int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) ? value : null;
}
