namespace Reconciler.Containerd;

internal static class Timers
{
    /// <summary>Timers of .NET take no longer ones.</summary>
    public static readonly TimeSpan Longest = TimeSpan.FromDays(49);

    /// <exception cref="ArgumentOutOfRangeException">Longer than a timer can wait.</exception>
    public static void Require(TimeSpan value, string parameter)
    {
        if (value > Longest) throw new ArgumentOutOfRangeException(parameter, value, $"a wait has at most {Longest.TotalDays:0} days");
    }
}
