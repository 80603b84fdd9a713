using System.Collections.Immutable;
using System.Globalization;
using Reconciler.Agent.Cluster;
using Reconciler.Core.Model;

namespace Reconciler.Agent.Controller;

/// <summary>What is to be done for a set now.</summary>
/// <param name="Creates">Nodes.</param>
/// <param name="Updates">Children that get the current template.</param>
/// <param name="Deletes">Children that go.</param>
/// <param name="Status">Of the set; null = it is being deleted and gets none.</param>
/// <param name="LookAgainAt">When time alone changes the answer.</param>
internal sealed record SetPlan(
    ImmutableArray<string> Creates, ImmutableArray<Workload> Updates, ImmutableArray<ChildDeletion> Deletes, SetStatus? Status, DateTimeOffset? LookAgainAt)
{
    public bool ChangesChildren => Creates.Length + Updates.Length + Deletes.Length > 0;
}

/// <summary>The pure function from a set and the cluster to changes and status.</summary>
internal static class SetPlanner
{
    /// <param name="set">Wanted.</param>
    /// <param name="cluster">As it is.</param>
    /// <param name="before">The set's status as it was last written.</param>
    /// <param name="refusal">Why the API server refused the last write of a child; empty = it did not.</param>
    /// <param name="now">For minReadySeconds, tolerationSeconds and deadlines.</param>
    public static SetPlan Plan(WorkloadSet set, ClusterFacts cluster, SetStatus before, string refusal, DateTimeOffset now)
    {
        if (set.IsDeleting)
        {
            var left = set.DeletesChildrenFirst ? cluster.Workloads.Values.Where(child => child.IsOf(set) && !child.IsDeleting) : [];
            return new SetPlan([], [], [.. left.Select(child => new ChildDeletion(child))], null, null);
        }
        var invalid = set.Selection.Problem;
        if (invalid.Length > 0)
        {
            var status = before with { ObservedGeneration = set.Generation, UpdateRevision = set.Template.Revision };
            return new SetPlan([], [], [], status with { Conditions = Conditions(set, before, false, (ObjectReason.InvalidSpec, invalid), "", now) }, null);
        }
        var placement = Placement.Of(set, cluster, now);
        var counted = Count(set, placement, cluster, now);
        var next = new Earliest();
        next.Add(placement.Next);
        foreach (var child in placement.Kept.Where(child => child.IsReady && !child.IsAvailable(set.MinReady, now))) next.Add(child.ReadySince + set.MinReady);
        return new SetPlan(
            placement.Missing, Rollout.Choose(set, placement, now), placement.Deletions, Judge(set, placement, counted, before, refusal, next, now), next.Time);
    }

    private static SetStatus Count(WorkloadSet set, Placement placement, ClusterFacts cluster, DateTimeOffset now)
    {
        var scheduled = placement.Kept.Where(child => placement.Wanted.Contains(child.NodeName)).ToList();
        var available = scheduled.Count(child => child.IsAvailable(set.MinReady, now));
        var ending = placement.Ending.Select(child => child.NodeName).Where(placement.Wanted.Contains).Distinct();
        var elsewhere = placement.Kept.Concat(placement.Ending).Concat(placement.Deletions.Select(deletion => deletion.Child)).Select(child => child.NodeName)
            .Where(node => !placement.Wanted.Contains(node) && cluster.Nodes.ContainsKey(node)).Distinct();
        return new SetStatus
        {
            ObservedGeneration = set.Generation,
            UpdateRevision = set.Template.Revision,
            DesiredNumberScheduled = placement.Wanted.Count,
            CurrentNumberScheduled = scheduled.Select(child => child.NodeName).Union(ending).Count(),
            UpdatedNumberScheduled = scheduled.Count(child => child.Revision == set.Template.Revision),
            NumberReady = scheduled.Count(child => child.IsReady),
            NumberAvailable = available,
            NumberUnavailable = placement.Wanted.Count - available,
            NumberMisscheduled = elsewhere.Count(),
        };
    }

    private static SetStatus Judge(
        WorkloadSet set, Placement placement, SetStatus counted, SetStatus before, string refusal, Earliest next, DateTimeOffset now)
    {
        var desired = counted.DesiredNumberScheduled;
        var done = counted.NumberAvailable == desired && (set.OnDelete || counted.UpdatedNumberScheduled == desired);
        var text = desired == 0 ? "no node matches" : string.Create(
            CultureInfo.InvariantCulture, $"{counted.NumberAvailable} of {desired} available, {counted.UpdatedNumberScheduled} up to date");
        (string Reason, string Message)? stuck = placement.Conflicts is [var first, ..]
            ? (ObjectReason.NameConflict, $"{placement.Conflicts.Length} NodeWorkloads are not this set's and have the names of its own, {first} for one; delete or rename them")
            : refusal.Length > 0 ? (ObjectReason.Refused, refusal)
            : done ? null
            : Overdue(set, placement, before, next, now) ? (ObjectReason.ProgressDeadlineExceeded, string.Create(CultureInfo.InvariantCulture, $"no progress for {set.ProgressDeadline.TotalSeconds:0} s: {text}"))
            : null;
        return counted with { Conditions = Conditions(set, before, done, stuck, text, now) };
    }

    /// <summary>Progress is a child that was made or became available; a change of the set gives it a full period.</summary>
    private static bool Overdue(WorkloadSet set, Placement placement, SetStatus before, Earliest next, DateTimeOffset now)
    {
        // Creation times are by the server's clock, which may be ahead of ours: what has not happened yet is no progress.
        var progress = placement.Kept.Select(child => child.CreatedAt).Where(created => created <= now)
            .Concat(placement.Kept.Where(child => child.Revision == set.Template.Revision && child.IsAvailable(set.MinReady, now)).Select(child => child.ReadySince + set.MinReady))
            .Append(DateTimeOffset.MinValue).Max();
        var same = before.ObservedGeneration == set.Generation;
        if (same && before.Condition(ConditionType.Stalled) is { IsTrue: true, Reason: ObjectReason.ProgressDeadlineExceeded } stalled && progress <= stalled.Since) return true;
        var began = same && before.Condition(ConditionType.Reconciling) is { IsTrue: true } working ? working.Since : now;
        var end = (progress > began ? progress : began) + set.ProgressDeadline;
        if (end <= now) return true;
        next.Add(end);
        return false;
    }

    private static EquatableArray<ObjectCondition> Conditions(
        WorkloadSet set, SetStatus before, bool done, (string Reason, string Message)? stuck, string text, DateTimeOffset now)
    {
        var ready = done && stuck is null;
        var working = !ready && stuck is null;
        // The work on a new generation begins now, though there was work before.
        var since = before.ObservedGeneration == set.Generation ? before.Condition(ConditionType.Reconciling) : null;
        var word = ready ? ObjectReason.Available : stuck?.Reason ?? ObjectReason.Progressing;
        return
        [
            ObjectCondition.Now(ConditionType.Ready, ready, word, ready || working ? text : stuck!.Value.Message, set.Generation, before.Condition(ConditionType.Ready), now),
            ObjectCondition.Now(ConditionType.Reconciling, working, word, working ? text : "", set.Generation, since, now),
            ObjectCondition.Now(ConditionType.Stalled, stuck is not null, word, stuck?.Message ?? "", set.Generation, before.Condition(ConditionType.Stalled), now),
        ];
    }
}
