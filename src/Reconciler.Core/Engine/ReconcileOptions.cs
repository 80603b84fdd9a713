namespace Reconciler.Core.Engine;

public sealed record ReconcileOptions
{
    /// <summary>Period of the full list that corrects what events missed.</summary>
    public TimeSpan ResyncInterval { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>How much runc work (create, start, delete) is under way at once.</summary>
    public int RuncSlots { get; init; } = 2 * Environment.ProcessorCount;

    /// <summary>0 to 1, drawn anew for each retry.</summary>
    public Func<double> Jitter { get; init; } = Random.Shared.NextDouble;

    /// <summary>What counts and times it all.</summary>
    public LoopMetrics Metrics { get; init; } = LoopMetrics.Unheard;

    /// <summary>How long passes under way may take to end once the loop is stopped.</summary>
    public TimeSpan StopLimit { get; init; } = TimeSpan.FromSeconds(4);
}
