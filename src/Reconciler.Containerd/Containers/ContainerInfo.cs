namespace Reconciler.Containerd;

/// <summary>A container record, without its spec.</summary>
public sealed record ContainerInfo
{
    /// <summary>Its id.</summary>
    public required string Id { get; init; }

    /// <summary>Name of the image it was made from.</summary>
    public string Image { get; init; } = "";

    /// <summary>All labels.</summary>
    public IReadOnlyDictionary<string, string> Labels { get; init; } = new Dictionary<string, string>();

    /// <summary>Key of its writable snapshot; empty = none.</summary>
    public string SnapshotKey { get; init; } = "";

    /// <summary>Snapshotter of that snapshot.</summary>
    public string Snapshotter { get; init; } = "";

    /// <summary>When the record was made.</summary>
    public DateTimeOffset CreatedAt { get; init; }

    /// <summary>Data kept with the record.</summary>
    public IReadOnlyDictionary<string, TypedValue> Extensions { get; init; } = new Dictionary<string, TypedValue>();

    internal static ContainerInfo From(Api.Containers.Container container) => new()
    {
        Id = container.Id,
        Image = container.Image,
        Labels = new Dictionary<string, string>(container.Labels, StringComparer.Ordinal),
        SnapshotKey = container.SnapshotKey,
        Snapshotter = container.Snapshotter,
        CreatedAt = Times.Read(container.CreatedAt) ?? default,
        Extensions = container.Extensions.ToDictionary(pair => pair.Key, pair => TypedValue.From(pair.Value), StringComparer.Ordinal),
    };
}

/// <summary>The state of a task.</summary>
public enum TaskStatus
{
    /// <summary>Its shim does not answer: it may well run.</summary>
    Unknown = 0,

    /// <summary>Made and never started.</summary>
    Created = 1,

    /// <summary>Its process runs.</summary>
    Running = 2,

    /// <summary>Its process ended.</summary>
    Stopped = 3,

    /// <summary>All its processes are frozen.</summary>
    Paused = 4,

    /// <summary>About to be paused.</summary>
    Pausing = 5,
}

/// <summary>The running or ended process of a container.</summary>
public sealed record TaskInfo
{
    /// <summary>The container's id.</summary>
    public required string Id { get; init; }

    /// <summary>Its state.</summary>
    public TaskStatus Status { get; init; }

    /// <summary>Process id on the host; 0 = not known.</summary>
    public int Pid { get; init; }

    /// <summary>0 to 255; null = it has not ended.</summary>
    public int? ExitCode { get; init; }

    /// <summary>Null = it has not ended.</summary>
    public DateTimeOffset? ExitedAt { get; init; }

    /// <summary>Where its input comes from, as given at creation; empty = nowhere.</summary>
    public string Stdin { get; init; } = "";

    /// <summary>Where its output goes, as given at creation; empty = nowhere.</summary>
    public string Stdout { get; init; } = "";

    /// <summary>Where its errors go, as given at creation; empty = nowhere.</summary>
    public string Stderr { get; init; } = "";

    /// <summary>It has a terminal.</summary>
    public bool Terminal { get; init; }

    internal static TaskInfo From(Api.TaskTypes.Process process)
    {
        var exited = process.Status == Api.TaskTypes.Status.Stopped ? Times.Read(process.ExitedAt) : null;
        return new TaskInfo
        {
            Id = process.Id,
            Status = Enum.IsDefined((TaskStatus)process.Status) ? (TaskStatus)process.Status : TaskStatus.Unknown,
            Pid = (int)process.Pid,
            ExitCode = exited is null ? null : (int)process.ExitStatus,
            ExitedAt = exited,
            Stdin = process.Stdin,
            Stdout = process.Stdout,
            Stderr = process.Stderr,
            Terminal = process.Terminal,
        };
    }
}

/// <summary>The kind of a snapshot.</summary>
public enum SnapshotKind
{
    /// <summary>Not told.</summary>
    Unknown = 0,

    /// <summary>Read-only and temporary.</summary>
    View = 1,

    /// <summary>Writable.</summary>
    Active = 2,

    /// <summary>Unchangeable; others build on it.</summary>
    Committed = 3,
}

/// <summary>A snapshot.</summary>
/// <param name="Key">Key of an active one, name of a committed one.</param>
/// <param name="Parent">What it builds on; empty = nothing.</param>
/// <param name="Kind">Its kind.</param>
/// <param name="CreatedAt">When it was made.</param>
/// <param name="Labels">All labels.</param>
public sealed record SnapshotInfo(
    string Key, string Parent, SnapshotKind Kind, DateTimeOffset CreatedAt, IReadOnlyDictionary<string, string> Labels);
