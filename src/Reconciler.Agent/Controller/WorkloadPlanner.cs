using Reconciler.Agent.Cluster;

namespace Reconciler.Agent.Controller;

/// <summary>Why a deleted child may go.</summary>
internal enum Release
{
    None,

    /// <summary>Its agent says that everything has stopped.</summary>
    Stopped,

    /// <summary>Its node does not exist any more, which a live request has to confirm.</summary>
    NodeGone,

    /// <summary>Its node is not ready and someone declared it out of service.</summary>
    OutOfService,

    /// <summary>Someone takes it upon himself, by annotation.</summary>
    Forced,
}

/// <summary>What is to be done for one NodeWorkload now.</summary>
/// <param name="Release">Why its finalizer goes.</param>
/// <param name="IsOrphan">Its set is gone, which a live request has to confirm before it is deleted.</param>
/// <param name="AgentLost">To write; null = as it is.</param>
/// <param name="LookAgainAt">When time alone changes the answer.</param>
internal sealed record WorkloadPlan(Release Release, bool IsOrphan, ObjectCondition? AgentLost, DateTimeOffset? LookAgainAt);

/// <summary>The deletion protocol, and what is said of lost agents. Pure.</summary>
internal static class WorkloadPlanner
{
    public static WorkloadPlan Plan(Workload workload, ClusterFacts cluster, DateTimeOffset now)
    {
        var next = new Earliest();
        var release = workload is { IsDeleting: true, StopFinalizerAt: >= 0 } ? ReleaseOf(workload, cluster, next, now) : Release.None;
        var lost = !cluster.AgentsInDoubt && cluster.Nodes.ContainsKey(workload.NodeName) ? AgentLost(workload, cluster.Agents.GetValueOrDefault(workload.NodeName), next, now) : null;
        return new WorkloadPlan(release, IsOrphan(workload, cluster), release == Release.None ? lost : null, next.Time);
    }

    private static Release ReleaseOf(Workload workload, ClusterFacts cluster, Earliest next, DateTimeOffset now)
    {
        if (workload.IsStopped) return Release.Stopped;
        if (workload.MayBeForced) return Release.Forced;
        if (cluster.Nodes.TryGetValue(workload.NodeName, out var node)) return node.IsOutOfService ? Release.OutOfService : Release.None;
        var gone = cluster.AbsentSince.GetValueOrDefault(workload.NodeName, now) + Placement.Quarantine;
        if (gone <= now) return Release.NodeGone;
        next.Add(gone);
        return Release.None;
    }

    private static bool IsOrphan(Workload workload, ClusterFacts cluster) =>
        workload is { IsDeleting: false, Owner: { } owner }
        && !(cluster.Sets.TryGetValue(workload.Name with { Name = owner.Name }, out var set) && set.Uid == owner.Uid);

    /// <summary>A Lease that expired proves nothing about the containers: it is said, and nothing is done.</summary>
    private static ObjectCondition? AgentLost(Workload workload, AgentSighting? sighting, Earliest next, DateTimeOffset now)
    {
        if (sighting is null) return null;
        var health = sighting.Health(now);
        if (health != AgentHealth.Lost) next.Add(sighting.Until);
        var before = workload.AgentLost;
        if (health == AgentHealth.Unknown || (before?.IsTrue ?? false) == (health == AgentHealth.Lost)) return null;
        var (reason, message) = health == AgentHealth.Alive ? (ObjectReason.AgentAlive, "")
            : sighting.RenewedAt.Length == 0 ? (ObjectReason.NoAgent, $"no agent of node {workload.NodeName} holds a Lease")
            : (ObjectReason.LeaseExpired, $"the agent of node {workload.NodeName} has not renewed its Lease since {sighting.RenewedAt}; its containers may still run");
        return ObjectCondition.Now(ConditionType.AgentLost, health == AgentHealth.Lost, reason, message, workload.Generation, before, now);
    }
}
