using System.Globalization;

namespace Reconciler.Agent.Commands.Output;

/// <summary>Durations and sizes as people read them.</summary>
internal static class Units
{
    /// <summary>Two units at most: 5s, 3m20s, 45m, 5h30m, 3d4h, 12d, 2y.</summary>
    public static string Age(TimeSpan age)
    {
        if (age < TimeSpan.Zero) age = TimeSpan.Zero;
        return age switch
        {
            { TotalMinutes: < 2 } => Text($"{(int)age.TotalSeconds}s"),
            { TotalMinutes: < 10 } => Two((int)age.TotalMinutes, "m", age.Seconds, "s"),
            { TotalHours: < 3 } => Text($"{(int)age.TotalMinutes}m"),
            { TotalHours: < 8 } => Two((int)age.TotalHours, "h", age.Minutes, "m"),
            { TotalDays: < 2 } => Text($"{(int)age.TotalHours}h"),
            { TotalDays: < 8 } => Two((int)age.TotalDays, "d", age.Hours, "h"),
            { TotalDays: < 730 } => Text($"{(int)age.TotalDays}d"),
            _ => Text($"{(int)(age.TotalDays / 365)}y"),
        };
    }

    public static string Age(DateTimeOffset? since, DateTimeOffset now) => since is { } time ? Age(now - time) : "<unknown>";

    /// <summary>4.5MiB; bytes below 1 KiB as 512B.</summary>
    public static string Size(long bytes)
    {
        if (bytes < 1024) return Text($"{bytes}B");
        var (size, unit) = ((double)bytes, 0);
        while (size >= 1024 && unit < Names.Length - 1)
        {
            size /= 1024;
            unit++;
        }
        return Text($"{size:0.#}{Names[unit]}");
    }

    private static readonly string[] Names = ["B", "KiB", "MiB", "GiB", "TiB"];

    private static string Two(int big, string bigUnit, int small, string smallUnit) => small == 0 ? Text($"{big}{bigUnit}") : Text($"{big}{bigUnit}{small}{smallUnit}");

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
