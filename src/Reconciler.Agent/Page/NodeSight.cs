using Reconciler.Agent.Commands.Output;
using Reconciler.Agent.State;
using Reconciler.Core.Model;
using Reconciler.Core.Ports;

namespace Reconciler.Agent.Page;

/// <summary>Everything the page shows, at one moment.</summary>
internal sealed record NodeSight
{
    public required AgentState State { get; init; }

    /// <summary>Newest first.</summary>
    public required IReadOnlyList<(ResourceKey Key, KeyEvent Event)> Actions { get; init; }

    /// <summary>Version of containerd; empty until it answered.</summary>
    public string Containerd { get; init; } = "";

    /// <summary>Each source with its newest state; null = it has not been read yet.</summary>
    public IReadOnlyList<(string Name, SourceState? State)> Sources { get; init; } = [];

    public IReadOnlyList<ContainerRow> Containers { get; init; } = [];

    public IReadOnlyList<ImageRow> Images { get; init; } = [];

    /// <summary>As <c>reconciler plan</c> prints it, without env values; null = node and sources are not all read yet.</summary>
    public string? Plan { get; init; }
}
