using Reconciler.Core.Model;
using Reconciler.Core.Planning;

namespace Reconciler.Core.Ports;

/// <summary>The node's containers and images. Every call may throw <see cref="RuntimeException"/> and nothing else but cancellation.</summary>
public interface IContainerRuntime
{
    /// <summary>
    /// One full list, a constant number of RPCs; it also renews what <see cref="ObserveAsync"/> answers from, but never undoes there
    /// what a verb or an event told while the list was under way: a container forgotten for a moment would be made twice.
    /// </summary>
    Task<NodeObservation> ListAsync(CancellationToken cancellation);

    /// <summary>One key as it is now. <paramref name="image"/>: the reference to look up beside a container.</summary>
    Task<Actual> ObserveAsync(ResourceKey key, string? image, CancellationToken cancellation);

    /// <summary>Re-attaches to everything of ours that runs, so that exits are seen. Called once at start and after each gap.</summary>
    Task RecoverAsync(CancellationToken cancellation);

    /// <summary>Hints that a key changed, and gaps after which only a list helps: one as soon as it is subscribed, one after each loss. Ends only by cancellation.</summary>
    IAsyncEnumerable<RuntimeEvent> EventsAsync(CancellationToken cancellation);

    /// <summary>Fetches and unpacks, marks the record resolved and used; at most one pull per reference runs, later callers join it. May be cancelled at any time.</summary>
    Task<PulledImage> PullImageAsync(NodeAction.PullImage action, CancellationToken cancellation);

    /// <summary>Creates and starts, or leaves nothing behind. An image that is not there: <see cref="RuntimeErrorKind.Conflict"/>.</summary>
    Task CreateContainerAsync(NodeAction.CreateContainer action, CancellationToken cancellation);

    /// <summary>Returns once nothing of it runs any more. Cancelling it ends only the waiting: the recorded stop-by stays and the next call goes on.</summary>
    Task StopContainerAsync(NodeAction.StopContainer action, CancellationToken cancellation);

    Task DeleteContainerAsync(NodeAction.DeleteContainer action, CancellationToken cancellation);

    Task RecordExitAsync(NodeAction.RecordExit action, CancellationToken cancellation);

    Task AdoptContainerAsync(NodeAction.AdoptContainer action, CancellationToken cancellation);

    /// <summary>Fails with reason RegistryUnreachable, removing nothing, while the image's registry does not answer.</summary>
    Task RemoveImageAsync(NodeAction.RemoveImage action, CancellationToken cancellation);

    Task MarkImageAsync(NodeAction.MarkImage action, CancellationToken cancellation);

    /// <summary>
    /// Removes what a workload has beside its containers (emptyDir folders, network files) for every workload without a container
    /// and without a key in <paramref name="declared"/>. To be called only while every source is synced and nothing is held: after the last
    /// container of a workload went, and with each full list. A container that is just being created counts as present. Also ends shims
    /// that serve no container. It costs no RPC unless such a one is found.
    /// </summary>
    /// <param name="declared">Keys of all declared containers, suspended ones included.</param>
    Task CleanWorkloadsAsync(IReadOnlyCollection<ResourceKey> declared, CancellationToken cancellation);
}

/// <summary>What a pull gave.</summary>
/// <param name="Stale">Why the present digest was taken instead of the registry's answer; null = the registry answered.</param>
public sealed record PulledImage(ActualImage Image, string? Stale);

public abstract record RuntimeEvent
{
    private RuntimeEvent()
    {
    }

    /// <summary>A container exited, or a record of ours was changed by someone.</summary>
    /// <param name="Exit">True for the exit of a container whose creation had succeeded: acted on at once, even in a failure backoff.</param>
    public sealed record Changed(ResourceKey Key, bool Exit) : RuntimeEvent;

    /// <summary>Events may have been lost: list.</summary>
    public sealed record Gap(string Reason) : RuntimeEvent;
}
