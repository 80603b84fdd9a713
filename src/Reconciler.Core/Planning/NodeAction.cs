using Reconciler.Core.Model;

namespace Reconciler.Core.Planning;

/// <summary>Everything the agent can do to a node, as data. The executor is the only place that acts on it.</summary>
public abstract record NodeAction(string Reason)
{
    /// <summary>Fetches and unpacks an image.</summary>
    /// <param name="Reference">Normalised reference.</param>
    /// <param name="PresentDigest">The digest on the node that may be used when the registry does not answer; null = none.</param>
    public sealed record PullImage(string Reference, string? PresentDigest, string Reason) : NodeAction(Reason);

    /// <summary>Creates and starts the next incarnation.</summary>
    /// <param name="ImageDigest">The recorded digest to run again; null = what the reference points to now.</param>
    /// <param name="Restarts">Label restarts of the new incarnation.</param>
    /// <param name="Failures">Label failures of the new incarnation.</param>
    public sealed record CreateContainer(ContainerSpec Spec, long Incarnation, string? ImageDigest, int Restarts, int Failures, string Reason)
        : NodeAction(Reason);

    /// <summary>Writes stop-by, signals, waits, kills; the record stays until it is deleted.</summary>
    /// <param name="Deadline">An earlier agent's stop-by: no second signal, SIGKILL at that time. Null = signal now.</param>
    public sealed record StopContainer(string Id, TimeSpan Grace, DateTimeOffset? Deadline, string Reason) : NodeAction(Reason);

    /// <summary>Removes task, record and snapshot of a container that does not run.</summary>
    public sealed record DeleteContainer(string Id, string Reason) : NodeAction(Reason);

    /// <summary>Writes exit code, reason and time into the labels, then deletes the task: the record stays as the memory.</summary>
    public sealed record RecordExit(string Id, string Reason) : NodeAction(Reason);

    /// <summary>The same container is now declared elsewhere or with another grace: only the labels source and grace change.</summary>
    public sealed record AdoptContainer(string Id, string Source, TimeSpan Grace, string Reason) : NodeAction(Reason);

    public sealed record RemoveImage(string Reference, string Reason) : NodeAction(Reason);

    /// <summary>Writes (or, with null, removes) the label that says since when nothing uses the image.</summary>
    public sealed record MarkImage(string Reference, DateTimeOffset? UnusedSince, string Reason) : NodeAction(Reason);
}
