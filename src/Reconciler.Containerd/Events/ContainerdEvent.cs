namespace Reconciler.Containerd;

/// <summary>What an event says happened to a record.</summary>
public static class ChangeKind
{
    /// <summary>It was made.</summary>
    public const string Created = "created";

    /// <summary>It was changed.</summary>
    public const string Updated = "updated";

    /// <summary>It was deleted.</summary>
    public const string Deleted = "deleted";
}

/// <summary>
/// One of containerd's events. They are hints: none is stored, some get lost, come twice or out of order. A list tells the truth.
/// </summary>
public abstract record ContainerdEvent
{
    private ContainerdEvent()
    {
    }

    /// <summary>When it happened, by containerd.</summary>
    public DateTimeOffset Timestamp { get; init; }

    /// <summary>Its containerd namespace.</summary>
    public string Namespace { get; init; } = "";

    /// <summary>Events before this one may be missing: the subscription begins here.</summary>
    /// <param name="Reason">Why.</param>
    public sealed record Gap(string Reason) : ContainerdEvent;

    /// <summary>A process ended.</summary>
    /// <param name="ContainerId">Its container.</param>
    /// <param name="ProcessId">The container's id for its first process, else the exec id.</param>
    /// <param name="Pid">Process id on the host.</param>
    /// <param name="ExitCode">0 to 255.</param>
    /// <param name="ExitedAt">When.</param>
    public sealed record TaskExit(string ContainerId, string ProcessId, int Pid, int ExitCode, DateTimeOffset ExitedAt) : ContainerdEvent;

    /// <summary>A process was killed for memory.</summary>
    /// <param name="ContainerId">Its container.</param>
    public sealed record TaskOom(string ContainerId) : ContainerdEvent;

    /// <summary>A task was made.</summary>
    /// <param name="ContainerId">Its container.</param>
    /// <param name="Pid">Process id on the host.</param>
    public sealed record TaskCreate(string ContainerId, int Pid) : ContainerdEvent;

    /// <summary>A task was started.</summary>
    /// <param name="ContainerId">Its container.</param>
    /// <param name="Pid">Process id on the host.</param>
    public sealed record TaskStart(string ContainerId, int Pid) : ContainerdEvent;

    /// <summary>A task was deleted.</summary>
    /// <param name="ContainerId">Its container.</param>
    /// <param name="ProcessId">Empty or the container's id for the task itself, else an exec id.</param>
    /// <param name="ExitCode">0 to 255.</param>
    public sealed record TaskDelete(string ContainerId, string ProcessId, int ExitCode) : ContainerdEvent;

    /// <summary>A container record changed.</summary>
    /// <param name="Id">Its id.</param>
    /// <param name="Kind">Of <see cref="ChangeKind"/>.</param>
    public sealed record ContainerChanged(string Id, string Kind) : ContainerdEvent;

    /// <summary>An image record changed.</summary>
    /// <param name="Name">Its name.</param>
    /// <param name="Kind">Of <see cref="ChangeKind"/>.</param>
    public sealed record ImageChanged(string Name, string Kind) : ContainerdEvent;

    /// <summary>Any other one.</summary>
    /// <param name="Topic">As <c>/snapshot/prepare</c>.</param>
    public sealed record Other(string Topic) : ContainerdEvent;
}
