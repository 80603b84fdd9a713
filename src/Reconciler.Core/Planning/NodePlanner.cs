using Reconciler.Core.Engine;
using Reconciler.Core.Model;
using Reconciler.Core.Ports;

namespace Reconciler.Core.Planning;

/// <summary>One key of a node with everything its plan was made of.</summary>
public sealed record PlannedKey(ResourceKey Key, Wish Wish, Actual Actual, Plan Plan);

/// <summary>Plans a whole node. The resync and the <c>plan</c> command both use it: what is printed is what is done.</summary>
public static class NodePlanner
{
    /// <summary>Every declared and every present key, containers before images, in order of name.</summary>
    public static IReadOnlyList<PlannedKey> PlanAll(DesiredState desired, NodeObservation node, DateTimeOffset now) =>
    [
        .. desired.Keys.Union(node.Resources.Keys)
            .OrderBy(key => key.Kind).ThenBy(key => key.Namespace, StringComparer.Ordinal).ThenBy(key => key.Name, StringComparer.Ordinal)
            .Select(key => PlanOne(desired, key, node.Find(key, desired.ImageOf(key)), now)),
    ];

    /// <summary>One key, as the loop does it.</summary>
    public static PlannedKey PlanOne(DesiredState desired, ResourceKey key, Actual actual, DateTimeOffset now)
    {
        var wish = desired.Find(key, actual.SourceLabel);
        return new PlannedKey(key, wish, actual, Planner.Plan(key, wish, actual, now));
    }
}
