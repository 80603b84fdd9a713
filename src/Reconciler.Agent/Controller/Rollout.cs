using System.Collections.Immutable;

namespace Reconciler.Agent.Controller;

/// <summary>Which children get the new template now. Pure; as DaemonSet does it without surge.</summary>
internal static class Rollout
{
    /// <summary>
    /// Copies that are not available anyway come first and free of charge; available ones follow while the budget lasts. A template that does
    /// not become available therefore stops by itself after maxUnavailable nodes.
    /// </summary>
    public static ImmutableArray<Workload> Choose(WorkloadSet set, Placement placement, DateTimeOffset now)
    {
        if (set.OnDelete) return [];
        var present = placement.Kept.Select(child => child.NodeName).ToHashSet(StringComparer.Ordinal);
        var unavailable = placement.Wanted.Count(node => !present.Contains(node)) + placement.Kept.Count(child => !child.IsAvailable(set.MinReady, now));
        var budget = Math.Max(0, set.MaxUnavailableOf(placement.Wanted.Count) - unavailable);
        var old = placement.Kept.Where(child => child.Revision != set.Template.Revision).ToList();
        return
        [
            .. old.Where(child => !child.IsAvailable(set.MinReady, now)),
            .. old.Where(child => child.IsAvailable(set.MinReady, now)).Take(budget),
        ];
    }
}
