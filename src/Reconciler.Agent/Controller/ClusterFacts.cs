using System.Collections.Immutable;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Controller;

/// <summary>What the controller knows at one moment; all of it was listed completely before the first one is made.</summary>
internal sealed record ClusterFacts
{
    public static readonly ClusterFacts Nothing = new();

    public ImmutableDictionary<ObjectName, WorkloadSet> Sets { get; init; } = ImmutableDictionary<ObjectName, WorkloadSet>.Empty;

    public ImmutableDictionary<ObjectName, Workload> Workloads { get; init; } = ImmutableDictionary<ObjectName, Workload>.Empty;

    public ImmutableDictionary<string, NodeFacts> Nodes { get; init; } = ImmutableDictionary<string, NodeFacts>.Empty;

    /// <summary>Nodes that a workload names and that are not there, and since when that is seen; empty while the list of nodes is in doubt.</summary>
    public ImmutableDictionary<string, DateTimeOffset> AbsentSince { get; init; } = ImmutableDictionary<string, DateTimeOffset>.Empty;

    /// <summary>By node.</summary>
    public ImmutableDictionary<string, AgentSighting> Agents { get; init; } = ImmutableDictionary<string, AgentSighting>.Empty;

    /// <summary>The list of Leases is not up to date: nothing is concluded from it.</summary>
    public bool AgentsInDoubt { get; init; }

    /// <summary>Of the list of workloads: a write of ours with a later one is not seen yet.</summary>
    public string WorkloadsVersion { get; init; } = "";
}
