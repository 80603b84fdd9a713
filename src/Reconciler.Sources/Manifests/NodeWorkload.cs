using System.Collections.Immutable;
using Reconciler.Core.Model;

namespace Reconciler.Sources.Manifests;

/// <summary>A NodeWorkload, checked and normalised.</summary>
internal sealed record NodeWorkload(string Namespace, string Name, string Uid, NodeWorkloadSpec Spec);

/// <summary>A NodeWorkloadSet, checked and normalised; what only a cluster controller acts on is checked and left out.</summary>
internal sealed record NodeWorkloadSet(
    string Namespace, string Name, string Uid, LabelSelector NodeSelector, ImmutableArray<string> NodeNames, NodeWorkloadSpec Template)
{
    /// <summary>Selector and names narrow each other; neither = every node.</summary>
    public bool Selects(ManifestOptions node) =>
        (NodeNames.IsEmpty || NodeNames.Contains(node.NodeName)) && NodeSelector.Matches(node.NodeLabels, node.NodeName);

    /// <summary>The workload of one node; it has the set's name.</summary>
    public NodeWorkload Expand() => new(Namespace, Name, Uid, Template);
}

internal sealed record NodeWorkloadSpec
{
    /// <summary>Null = the node that reads it.</summary>
    public string? NodeName { get; init; }

    public ImmutableArray<WorkloadContainer> Containers { get; init; } = [];

    public ImmutableArray<WorkloadImage> Images { get; init; } = [];

    public RestartPolicy RestartPolicy { get; init; }

    public TimeSpan GracePeriod { get; init; }

    public bool Suspend { get; init; }
}

internal sealed record WorkloadContainer(string Name, ImagePullPolicy PullPolicy, ContainerProcess Process);

internal sealed record WorkloadImage(string Reference, ImagePullPolicy PullPolicy);
