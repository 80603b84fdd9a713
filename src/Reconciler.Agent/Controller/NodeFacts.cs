using System.Collections.Immutable;
using System.Text.Json;
using Reconciler.Agent.Cluster;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Controller;

/// <summary>What the controller heeds of a Node. Cordoned nodes get their workloads, as a DaemonSet's pods, so spec.unschedulable is not among it.</summary>
internal sealed record NodeFacts(string Name, ImmutableSortedDictionary<string, string> Labels, ImmutableArray<Taint> Taints, bool Ready)
{
    public bool IsOutOfService => !Ready && Taints.Any(taint => taint.Key == Taint.OutOfService);

    public static NodeFacts Read(ClusterObject node)
    {
        using var document = JsonDocument.Parse(node.Json);
        var root = document.RootElement;
        return new NodeFacts(
            node.Name.Name,
            root.Find("metadata").Map("labels"),
            [.. root.Find("spec").Items("taints").Select(Taint.Read)],
            ObjectCondition.ReadAll(root.Find("status")).Any(condition => condition is { Type: "Ready", IsTrue: true }));
    }

    /// <summary>A kubelet's heartbeat changes nothing here.</summary>
    public bool Same(NodeFacts other) => Ready == other.Ready && Labels.SequenceEqual(other.Labels) && Taints.SequenceEqual(other.Taints);
}
