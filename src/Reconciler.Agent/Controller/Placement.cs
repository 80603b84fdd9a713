using System.Collections.Immutable;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Controller;

/// <summary>A child that is to be deleted.</summary>
/// <param name="Child">It.</param>
/// <param name="NodeGone">Because its node is gone, which a live request has to confirm first.</param>
internal sealed record ChildDeletion(Workload Child, bool NodeGone = false);

/// <summary>Where a set's children belong and where they are. Pure.</summary>
internal sealed record Placement
{
    /// <summary>A node that vanished may come back at once, as after its registration anew; pod garbage collection waits as long.</summary>
    public static readonly TimeSpan Quarantine = TimeSpan.FromSeconds(40);

    /// <summary>Nodes that shall have a child.</summary>
    public required ImmutableSortedSet<string> Wanted { get; init; }

    /// <summary>Wanted nodes without one.</summary>
    public required ImmutableArray<string> Missing { get; init; }

    /// <summary>Names that someone else's object has.</summary>
    public required ImmutableArray<string> Conflicts { get; init; }

    /// <summary>Children that stay, each on a node that is there; not all of them on wanted ones: a NoSchedule taint keeps new ones away only.</summary>
    public required ImmutableArray<Workload> Kept { get; init; }

    public required ImmutableArray<ChildDeletion> Deletions { get; init; }

    /// <summary>Children whose deletion has begun.</summary>
    public required ImmutableArray<Workload> Ending { get; init; }

    /// <summary>When time alone changes the answer.</summary>
    public DateTimeOffset? Next { get; init; }

    public static Placement Of(WorkloadSet set, ClusterFacts cluster, DateTimeOffset now)
    {
        var next = new Earliest();
        var (wanted, staying) = Nodes(set, cluster, next, now);
        var own = cluster.Workloads.Values.Where(workload => workload.IsOf(set)).OrderBy(child => child.NodeName, StringComparer.Ordinal).ToList();
        var kept = ImmutableArray.CreateBuilder<Workload>();
        var deletions = ImmutableArray.CreateBuilder<ChildDeletion>();
        foreach (var child in own.Where(child => !child.IsDeleting))
        {
            if (child.Name.Name != ChildNames.Of(set.Name.Name, child.NodeName)) deletions.Add(new ChildDeletion(child));
            else if (staying.Contains(child.NodeName)) kept.Add(child);
            else if (cluster.Nodes.ContainsKey(child.NodeName)) deletions.Add(new ChildDeletion(child));
            else if (cluster.AbsentSince.TryGetValue(child.NodeName, out var since) && since + Quarantine <= now) deletions.Add(new ChildDeletion(child, NodeGone: true));
            else next.Add(cluster.AbsentSince.GetValueOrDefault(child.NodeName, now) + Quarantine);
        }
        var (missing, conflicts) = Absent(set, cluster, wanted);
        return new Placement
        {
            Wanted = wanted, Missing = missing, Conflicts = conflicts, Kept = kept.ToImmutable(), Deletions = deletions.ToImmutable(),
            Ending = [.. own.Where(child => child.IsDeleting)], Next = next.Time,
        };
    }

    private static (ImmutableSortedSet<string> Wanted, HashSet<string> Staying) Nodes(WorkloadSet set, ClusterFacts cluster, Earliest next, DateTimeOffset now)
    {
        var wanted = ImmutableSortedSet.CreateBuilder<string>(StringComparer.Ordinal);
        var staying = new HashSet<string>(StringComparer.Ordinal);
        foreach (var node in cluster.Nodes.Values)
        {
            if (!set.Selection.Selects(node.Name, node.Labels) || !Tolerates(set, node, Taint.NoExecute, now)) continue;
            staying.Add(node.Name);
            if (Tolerates(set, node, Taint.NoSchedule, now)) wanted.Add(node.Name);
            foreach (var taint in node.Taints)
                foreach (var end in set.Tolerations.Where(toleration => toleration.Tolerates(taint, now)).Select(toleration => toleration.EndOf(taint)))
                    next.Add(end);
        }
        return (wanted.ToImmutable(), staying);
    }

    private static bool Tolerates(WorkloadSet set, NodeFacts node, string effect, DateTimeOffset now) =>
        node.Taints.All(taint => taint.Effect != effect || set.Tolerations.Any(toleration => toleration.Tolerates(taint, now)));

    private static (ImmutableArray<string> Missing, ImmutableArray<string> Conflicts) Absent(WorkloadSet set, ClusterFacts cluster, IEnumerable<string> wanted)
    {
        var missing = ImmutableArray.CreateBuilder<string>();
        var conflicts = ImmutableArray.CreateBuilder<string>();
        foreach (var node in wanted)
        {
            var name = ChildNames.Of(set.Name.Name, node);
            if (!cluster.Workloads.TryGetValue(new ObjectName(set.Name.Namespace, name), out var there)) missing.Add(node);
            else if (there.IsOf(set) ? there.NodeName != node : there.Owner?.Name != set.Name.Name) conflicts.Add(name); // those of an older set of the name go by themselves
        }
        return (missing.ToImmutable(), conflicts.ToImmutable());
    }
}

/// <summary>The earliest of some times.</summary>
internal sealed class Earliest
{
    public DateTimeOffset? Time { get; private set; }

    public void Add(DateTimeOffset? time)
    {
        if (time is { } at && (Time is null || at < Time)) Time = at;
    }
}
