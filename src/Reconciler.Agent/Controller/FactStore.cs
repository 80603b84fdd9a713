using System.Collections.Immutable;
using System.Text.Json;
using Reconciler.Agent.Cluster;
using Reconciler.Core.Engine;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Controller;

/// <summary>Names what is worked on: a set, or one NodeWorkload.</summary>
internal readonly record struct WorkKey(bool IsSet, ObjectName Name);

/// <summary>The four lists as their reflectors have them.</summary>
internal sealed record ClusterLists(ClusterState Sets, ClusterState Workloads, ClusterState Nodes, ClusterState Leases)
{
    public static readonly ClusterLists Nothing = new(ClusterState.Nothing, ClusterState.Nothing, ClusterState.Nothing, ClusterState.Nothing);

    public bool AreListed => Sets.IsListed && Workloads.IsListed && Nodes.IsListed && Leases.IsListed;
}

/// <summary>Turns lists into facts, and tells which keys their changes concern. Each object is read once per version.</summary>
internal sealed class FactStore
{
    private ClusterLists _lists = ClusterLists.Nothing;
    private volatile ClusterFacts _current = ClusterFacts.Nothing;

    public ClusterFacts Current => _current;

    /// <param name="lists">All of them listed.</param>
    /// <param name="now">For absences and leases.</param>
    public IReadOnlyDictionary<WorkKey, Trigger> Apply(ClusterLists lists, DateTimeOffset now)
    {
        var (old, before) = (_current, _lists);
        var changed = new Changes();
        var sets = Next(before.Sets, lists.Sets, old.Sets, name => name, WorkloadSet.Read, (was, set) => changed.Set(was, set));
        var workloads = Next(before.Workloads, lists.Workloads, old.Workloads, name => name, Workload.Read, (was, workload) => changed.Workload(was, workload));
        var touched = new HashSet<string>(StringComparer.Ordinal);
        var nodes = Next(before.Nodes, lists.Nodes, old.Nodes, name => name.Name, NodeFacts.Read, (was, node) =>
        {
            if (was is null || node is null || !was.Same(node)) touched.Add((node ?? was)!.Name);
        });
        var agents = ReferenceEquals(before.Leases, lists.Leases) && ReferenceEquals(old.Nodes, nodes)
            ? old.Agents
            : AgentSighting.Next(old.Agents, Leases(lists.Leases), nodes.Keys, lists.Leases.Doubt.Length > 0 || before.Leases.Doubt.Length > 0, now);
        var absent = Absent(lists.Nodes.Doubt.Length > 0 || before.Nodes.Doubt.Length > 0 ? old.AbsentSince.Clear() : old.AbsentSince, nodes, workloads, now);
        var next = new ClusterFacts
        {
            Sets = sets, Workloads = workloads, Nodes = nodes, Agents = agents, AbsentSince = absent, WorkloadsVersion = lists.Workloads.ResourceVersion,
            AgentsInDoubt = lists.Leases.Doubt.Length > 0,
        };
        var flipped = nodes.Keys.Where(node => old.Agents.GetValueOrDefault(node)?.Health(now) != agents.GetValueOrDefault(node)?.Health(now)).ToHashSet(StringComparer.Ordinal);
        foreach (var workload in workloads.Values)
        {
            if (touched.Contains(workload.NodeName) || flipped.Contains(workload.NodeName) || absent.ContainsKey(workload.NodeName) != old.AbsentSince.ContainsKey(workload.NodeName)
                || changed.LeavesOrphan(workload) || (old.AgentsInDoubt && !next.AgentsInDoubt))
                changed.Hint(new WorkKey(false, workload.Name));
        }
        if (touched.Count > 0)
            foreach (var set in sets.Keys)
                changed.Hint(new WorkKey(true, set));
        changed.Neighbours(sets);
        (_lists, _current) = (lists, next);
        return changed.Keys;
    }

    private static ImmutableDictionary<TKey, T> Next<TKey, T>(
        ClusterState before, ClusterState now, ImmutableDictionary<TKey, T> old, Func<ObjectName, TKey> key, Func<ClusterObject, T> read, Action<T?, T?> changed)
        where TKey : notnull
        where T : class
    {
        if (ReferenceEquals(before.Objects, now.Objects)) return old;
        var next = old.ToBuilder();
        foreach (var (name, found) in now.Objects)
        {
            if (before.Objects.TryGetValue(name, out var known) && ReferenceEquals(known, found)) continue;
            if (known is not null && known.ResourceVersion == found.ResourceVersion && known.Uid == found.Uid) continue; // a new list brings it again
            var value = read(found);
            changed(old.GetValueOrDefault(key(name)), value);
            next[key(name)] = value;
        }
        foreach (var (name, _) in before.Objects)
        {
            if (now.Objects.ContainsKey(name)) continue;
            changed(old.GetValueOrDefault(key(name)), null);
            next.Remove(key(name));
        }
        return next.ToImmutable();
    }

    private static ImmutableDictionary<string, DateTimeOffset> Absent(
        ImmutableDictionary<string, DateTimeOffset> before, ImmutableDictionary<string, NodeFacts> nodes, ImmutableDictionary<ObjectName, Workload> workloads, DateTimeOffset now) =>
        workloads.Values.Select(workload => workload.NodeName).Where(node => !nodes.ContainsKey(node)).Distinct(StringComparer.Ordinal)
            .ToImmutableDictionary(node => node, node => before.GetValueOrDefault(node, now), StringComparer.Ordinal);

    private static Dictionary<string, LeaseFacts> Leases(ClusterState leases)
    {
        var facts = new Dictionary<string, LeaseFacts>(StringComparer.Ordinal);
        foreach (var (name, lease) in leases.Objects)
        {
            using var document = JsonDocument.Parse(lease.Json);
            var spec = document.RootElement.Find("spec");
            if (spec.Text("renewTime") is { Length: > 0 } renewed)
                facts[name.Name] = new LeaseFacts(renewed, spec.Time("renewTime"), spec.Number("leaseDurationSeconds") is > 0 and { } seconds ? TimeSpan.FromSeconds(seconds) : AgentSighting.Duration);
        }
        return facts;
    }

    private sealed class Changes
    {
        private readonly Dictionary<WorkKey, Trigger> _keys = [];
        private readonly HashSet<string> _namespaces = new(StringComparer.Ordinal);
        private readonly HashSet<ObjectName> _gone = [];

        public IReadOnlyDictionary<WorkKey, Trigger> Keys => _keys;

        public void Hint(WorkKey key) => _keys.TryAdd(key, Trigger.Hint);

        /// <summary>What a person changed is done at once, failures forgotten.</summary>
        public void Set(WorkloadSet? was, WorkloadSet? set)
        {
            var key = new WorkKey(true, (set ?? was)!.Name);
            if (set is not null && (was is null || was.Uid != set.Uid || was.Generation != set.Generation)) _keys[key] = Trigger.Declared;
            else Hint(key);
            if (set is null || was?.Uid != set.Uid) _namespaces.Add(key.Name.Namespace);
            if (was is not null && set?.Uid != was.Uid) _gone.Add(key.Name);
        }

        public bool LeavesOrphan(Workload workload) => workload.Owner is { } owner && _gone.Contains(workload.Name with { Name = owner.Name });

        public void Workload(Workload? was, Workload? workload)
        {
            var either = (workload ?? was)!;
            Hint(new WorkKey(false, either.Name));
            foreach (var owner in new[] { was?.Owner, workload?.Owner })
                if (owner is not null)
                    Hint(new WorkKey(true, either.Name with { Name = owner.Name }));
            // Somebody's own object may have had, or get, the name of a child.
            if ((was is null || workload is null) && either.Owner is null) _namespaces.Add(either.Name.Namespace);
        }

        public void Neighbours(ImmutableDictionary<ObjectName, WorkloadSet> sets)
        {
            foreach (var set in sets.Keys)
                if (_namespaces.Contains(set.Namespace))
                    Hint(new WorkKey(true, set));
        }
    }
}
