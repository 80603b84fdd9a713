namespace Reconciler.Core.Planning;

/// <summary>Pure arithmetic of waiting: 1 s doubling to 5 min.</summary>
public static class Backoff
{
    /// <summary>A container that ran this long starts its backoff afresh.</summary>
    public static readonly TimeSpan LongRun = TimeSpan.FromMinutes(10);

    public static readonly TimeSpan Longest = TimeSpan.FromMinutes(5);

    /// <summary>Between an exit and the restart.</summary>
    /// <param name="failures">Restarts since the last long run; 0 = restart at once.</param>
    public static TimeSpan AfterExit(int failures) => failures <= 0 ? TimeSpan.Zero : Doubling(TimeSpan.FromSeconds(1), failures, Longest);

    /// <summary>Between a failed action and the next try, up to a fifth shorter by <paramref name="jitter"/> so that many keys do not try as one.</summary>
    /// <param name="attempt">Failures in a row, from 1.</param>
    /// <param name="jitter">0 to 1.</param>
    public static TimeSpan AfterFailure(int attempt, double jitter) =>
        Doubling(TimeSpan.FromSeconds(1), attempt, Longest) * (1 - 0.2 * Math.Clamp(jitter, 0, 1));

    /// <summary>While the runtime does not answer.</summary>
    /// <param name="attempt">Tries in a row, from 1.</param>
    public static TimeSpan WhileUnavailable(int attempt) => Doubling(TimeSpan.FromMilliseconds(250), attempt, TimeSpan.FromSeconds(10));

    private static TimeSpan Doubling(TimeSpan first, int step, TimeSpan longest)
    {
        var exact = first * Math.Pow(2, Math.Clamp(step - 1, 0, 30));
        return exact < longest ? exact : longest;
    }
}
