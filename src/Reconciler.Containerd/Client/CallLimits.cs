namespace Reconciler.Containerd;

/// <summary>The limits of waits that have one of their own.</summary>
internal sealed record CallLimits
{
    /// <summary>A rollback goes on for this long, also over a restart of the daemon.</summary>
    public TimeSpan Rollback { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>What containerd may take to finish a call whose caller it has lost.</summary>
    public TimeSpan Doubt { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Tidying up behind a pull, for which nobody waits.</summary>
    public TimeSpan Tidy { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>What everything in a container may take to be gone after SIGKILL.</summary>
    public TimeSpan Kill { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Whoever has not died of SIGKILL by then may be frozen.</summary>
    public TimeSpan Frozen { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>What the daemon itself may take to clean up behind a dead shim.</summary>
    public TimeSpan Settle { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>A delete of a task waits for output to drain and for runc; cut short, it must not be repeated.</summary>
    public TimeSpan Delete { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>Calls that hash what they get, or wait for the garbage collection.</summary>
    public TimeSpan Long { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Unpacking one layer.</summary>
    public TimeSpan Apply { get; init; } = TimeSpan.FromMinutes(30);
}
