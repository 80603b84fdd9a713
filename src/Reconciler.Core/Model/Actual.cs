namespace Reconciler.Core.Model;

/// <summary>What the runtime reports for one key.</summary>
/// <param name="Containers">All incarnations with this key, newest first.</param>
/// <param name="Image">The image record behind the key or behind the container's declared image; null = not present or not unpacked.</param>
public sealed record Actual(EquatableArray<ActualContainer> Containers, ActualImage? Image)
{
    public static readonly Actual Nothing = new([], null);

    /// <summary>Source label of the newest incarnation; empty without one.</summary>
    public string SourceLabel => Containers.Count > 0 ? Containers[0].Source : "";
}

public enum ContainerState
{
    /// <summary>A record without a task and without a recorded exit: a crash left it, or someone deleted the task. Only said when nothing of it runs.</summary>
    NoTask,

    /// <summary>The task exists and never started.</summary>
    Created,
    Running,
    Paused,

    /// <summary>The process ended; its task may be there still, or its exit is in the labels.</summary>
    Exited,

    /// <summary>The shim does not answer, or a vanished task's processes may still live: neither dead nor alive can be assumed.</summary>
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

    /// <summary>Counts up by one per incarnation of the key. The first is the unix time in seconds, so that a key that comes back never reuses a name.</summary>
    public required long Incarnation { get; init; }

    public int Pid { get; init; }

    public DateTimeOffset CreatedAt { get; init; }

    /// <summary>Null = never started, as far as the record and its task tell.</summary>
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

    /// <summary>Someone asked for a restart (label restart-wanted): it is replaced by the same, and no failure is counted.</summary>
    public bool RestartWanted { get; init; }

    /// <summary>The grace of the declaration it was last made or adopted with; used once nothing declares it.</summary>
    public TimeSpan GracePeriod { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>When <see cref="ContainerState.Unknown"/> was first seen; null = not unknown.</summary>
    public DateTimeOffset? UnknownSince { get; init; }

    public string ImageReference { get; init; } = "";

    public string ImageDigest { get; init; } = "";

    /// <summary>Some image record has <see cref="ImageDigest"/>; filled by <see cref="Ports.NodeObservation.From"/>.</summary>
    public bool ImagePresent { get; init; }

    /// <summary>Exit facts are already in the record's labels.</summary>
    public bool ExitRecorded { get; init; }

    /// <summary>The shim holds its log files no longer (a full disk closed them).</summary>
    public bool LogBroken { get; init; }

    /// <summary>Something of it runs, or may run: it has to be stopped before another copy starts.</summary>
    public bool IsLive => State is ContainerState.Running or ContainerState.Paused or ContainerState.Unknown;

    /// <summary>The normalised process as recorded at creation; only filled where a plan is explained, else null.</summary>
    public ContainerProcess? Process { get; init; }
}

/// <summary>An image record.</summary>
public sealed record ActualImage
{
    /// <summary>The record's name.</summary>
    public required string Reference { get; init; }

    /// <summary>Digest of its target.</summary>
    public required string Digest { get; init; }

    /// <summary>Bytes as the registry has them; 0 = not known.</summary>
    public long Size { get; init; }

    /// <summary>Made by the agent, so it may be removed by it.</summary>
    public bool Managed { get; init; }

    /// <summary>The agent has asked a registry for this name since it is declared (label): policy Always asks no second time.</summary>
    public bool Resolved { get; init; }

    /// <summary>Written by <see cref="Planning.NodeAction.MarkImage"/> when nothing declared or present used it; null = used. A pull clears it.</summary>
    public DateTimeOffset? UnusedSince { get; init; }

    /// <summary>Containers of ours, in any state, with this reference or digest; filled by <see cref="Ports.NodeObservation.From"/>.</summary>
    public EquatableArray<ResourceKey> UsedBy { get; init; }
}
