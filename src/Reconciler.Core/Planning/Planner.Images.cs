using Reconciler.Core.Model;

namespace Reconciler.Core.Planning;

/// <summary>The half of the planner for image keys.</summary>
public static partial class Planner
{
    private static Plan HoldImage(ImageSpec spec, ActualImage? image)
    {
        var reference = spec.Key.Name;
        if (image is null && spec.PullPolicy == ImagePullPolicy.Never)
            return Planning.Plan.Nothing(new Condition(false, ConditionReason.ErrImageNeverPull, "not on the node and imagePullPolicy is Never"));
        if (image is null) return PullPlan(new NodeAction.PullImage(reference, null, "declared and not on the node"));
        // Unused until now means that it is declared anew, which is a first time for its tag.
        if (spec.PullPolicy == ImagePullPolicy.Always && (!image.Resolved || image.UnusedSince is not null))
            return PullPlan(new NodeAction.PullImage(reference, image.Digest, "imagePullPolicy is Always"));
        return UseImage(image, "it is declared") with { Condition = new Condition(true, ConditionReason.Present) };
    }

    private static Plan PullPlan(NodeAction.PullImage pull) =>
        new([pull], null, new Condition(pull.PresentDigest is not null, ConditionReason.Pulling, pull.Reason));

    private static Plan UseImage(ActualImage? image, string why)
    {
        var condition = new Condition(image is not null, ConditionReason.InUse, why);
        return image is { Managed: true, UnusedSince: not null }
            ? new Plan([new NodeAction.MarkImage(image.Reference, null, why)], null, condition)
            : Planning.Plan.Nothing(condition);
    }

    /// <summary>What the agent did not make itself, it does not remove.</summary>
    private static Plan CollectImage(ActualImage? image, DateTimeOffset now)
    {
        if (image is null) return Planning.Plan.Nothing(new Condition(false, ConditionReason.Removed));
        if (!image.Managed) return Planning.Plan.Nothing(new Condition(true, ConditionReason.Present, "not made by the agent"));
        if (image.UsedBy.Count > 0) return UseImage(image, $"used by {image.UsedBy[0]}");
        var condition = new Condition(true, ConditionReason.Unused, "removed 1 h after its last use");
        if (image.UnusedSince is not { } since)
            return new Plan([new NodeAction.MarkImage(image.Reference, now, "nothing uses it any more")], now + ImageGrace, condition);
        if (now < since + ImageGrace) return Planning.Plan.Nothing(condition, since + ImageGrace);
        return new Plan([new NodeAction.RemoveImage(image.Reference, "unused for 1 h")], null, condition);
    }
}
