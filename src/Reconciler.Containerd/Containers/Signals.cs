using System.Globalization;

namespace Reconciler.Containerd;

/// <summary>Signal numbers of Linux, the same on x86 and ARM.</summary>
internal static class Signals
{
    public const int Kill = 9;
    public const int Term = 15;
    public const int Max = 64;

    private static readonly string[] Names =
    [
        "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT",
        "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];

    private const int RtMin = 34;

    /// <summary>A name with or without SIG, RTMIN+n and RTMAX-n, or a number of 1 to 64; null = none of these.</summary>
    public static int? Parse(string? text)
    {
        if (string.IsNullOrEmpty(text)) return null;
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number)) return InRange(number);
        var name = text.ToUpperInvariant();
        if (name.StartsWith("SIG", StringComparison.Ordinal)) name = name[3..];
        if (name.StartsWith("RTMIN", StringComparison.Ordinal)) return RtMin + Offset(name["RTMIN".Length..]) is { } low ? InRange(low) : null;
        if (name.StartsWith("RTMAX", StringComparison.Ordinal)) return Max + Offset(name["RTMAX".Length..]) is { } high ? InRange(high) : null;
        var index = name.Length == 0 ? -1 : Array.IndexOf(Names, name);
        return index > 0 ? index : null;
    }

    private static int? Offset(string text) =>
        text.Length == 0 ? 0 : int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var offset) ? offset : null;

    private static int? InRange(int number) => number is > 0 and <= Max ? number : null;
}
