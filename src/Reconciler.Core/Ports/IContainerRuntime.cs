using System.Collections.Immutable;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;

namespace Reconciler.Core.Ports;

/// <summary>The node's containers and images. Every call may throw <see cref="RuntimeException"/> and nothing else but cancellation.</summary>
public interface IContainerRuntime
{
    /// <summary>One full list, a constant number of RPCs; it also renews what <see cref="ObserveAsync"/> answers from.</summary>
    Task<NodeObservation> ListAsync(CancellationToken cancellation);

    /// <summary>One key as it is now. <paramref name="image"/>: the reference to look up beside a container.</summary>
    Task<Actual> ObserveAsync(ResourceKey key, string? image, CancellationToken cancellation);

    /// <summary>Re-attaches to everything of ours that runs, so that exits are seen. Called once at start and after each gap.</summary>
    Task RecoverAsync(CancellationToken cancellation);

    /// <summary>Hints that a key changed, and gaps after which only a list helps. Ends only by cancellation.</summary>
    IAsyncEnumerable<RuntimeEvent> EventsAsync(CancellationToken cancellation);

    /// <summary>Fetches and unpacks; at most one pull per reference runs, later callers join it.</summary>
    Task<ActualImage> PullImageAsync(NodeAction.PullImage action, CancellationToken cancellation);

    Task CreateContainerAsync(NodeAction.CreateContainer action, CancellationToken cancellation);

    Task StopContainerAsync(NodeAction.StopContainer action, CancellationToken cancellation);

    Task DeleteContainerAsync(NodeAction.DeleteContainer action, CancellationToken cancellation);

    Task RecordExitAsync(NodeAction.RecordExit action, CancellationToken cancellation);

    Task AdoptContainerAsync(NodeAction.AdoptContainer action, CancellationToken cancellation);

    Task RemoveImageAsync(NodeAction.RemoveImage action, CancellationToken cancellation);
}

/// <summary>The whole node as one list saw it; only what is ours.</summary>
public sealed record NodeObservation(ImmutableDictionary<ResourceKey, Actual> Resources);

public abstract record RuntimeEvent
{
    private RuntimeEvent()
    {
    }

    /// <summary>A container exited, or a record of ours was changed by someone.</summary>
    /// <param name="Exit">True for an exit: acted on at once, even in a resync.</param>
    public sealed record Changed(ResourceKey Key, bool Exit) : RuntimeEvent;

    /// <summary>Events may have been lost: list.</summary>
    public sealed record Gap(string Reason) : RuntimeEvent;
}
