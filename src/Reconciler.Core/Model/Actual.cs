namespace Reconciler.Core.Model;

/// <summary>What the runtime reports for one key.</summary>
/// <param name="Containers">All incarnations with this key, newest first.</param>
/// <param name="Image">The image record behind the key or behind the container's declared image; null = not present or not unpacked.</param>
public sealed record Actual(EquatableArray<ActualContainer> Containers, ActualImage? Image)
{
    public static readonly Actual Nothing = new([], null);
}

public enum ContainerState
{
    /// <summary>A record without a task: a crash left it, or someone deleted the task.</summary>
    NoTask,

    /// <summary>The task exists and never started.</summary>
    Created,
    Running,
    Paused,

    /// <summary>The process ended.</summary>
    Exited,

    /// <summary>The shim does not answer: neither dead nor alive can be assumed.</summary>
    Unknown,
}

/// <summary>One incarnation of a container of ours, read from its record, labels and task.</summary>
public sealed record ActualContainer
{
    public required string Id { get; init; }

    public required ResourceKey Key { get; init; }

    public required string SpecHash { get; init; }

    public required string Source { get; init; }

    public required ContainerState State { get; init; }

    /// <summary>Counts up by one per incarnation of the key.</summary>
    public required long Incarnation { get; init; }

    public int Pid { get; init; }

    public DateTimeOffset CreatedAt { get; init; }

    public DateTimeOffset? StartedAt { get; init; }

    public DateTimeOffset? FinishedAt { get; init; }

    /// <summary>Null while running, and where the code was lost.</summary>
    public int? ExitCode { get; init; }

    /// <summary>Why it ended or cannot run: Completed, Error, OOMKilled, Unknown, LogBroken.</summary>
    public string Reason { get; init; } = "";

    /// <summary>Restarts of this key so far, never reset.</summary>
    public int Restarts { get; init; }

    /// <summary>Step of the crash backoff: restarts since the last long run.</summary>
    public int Failures { get; init; }

    /// <summary>Set before the stop signal was sent; SIGKILL is due then.</summary>
    public DateTimeOffset? StopBy { get; init; }

    public string ImageReference { get; init; } = "";

    public string ImageDigest { get; init; } = "";

    /// <summary>Exit facts are already in the record's labels.</summary>
    public bool ExitRecorded { get; init; }

    /// <summary>The shim holds its log files no longer (a full disk closed them).</summary>
    public bool LogBroken { get; init; }

    /// <summary>The normalised process as recorded at creation; only filled where a plan is explained, else null.</summary>
    public ContainerProcess? Process { get; init; }
}

/// <summary>An image record.</summary>
/// <param name="Reference">Its name.</param>
/// <param name="Digest">Digest of its target.</param>
/// <param name="Managed">Made by the agent, so it may be removed by it.</param>
/// <param name="UnusedSince">When a list first found nothing declared or retained that uses it; null = used.</param>
public sealed record ActualImage(string Reference, string Digest, bool Managed, DateTimeOffset? UnusedSince = null);
