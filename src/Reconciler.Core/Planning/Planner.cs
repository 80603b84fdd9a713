using System.Diagnostics;
using Reconciler.Core.Model;

namespace Reconciler.Core.Planning;

/// <summary>Compares a wish with what is there. Pure: the same arguments give the same plan.</summary>
public static partial class Planner
{
    /// <summary>How long a container may stay in state unknown before what is left of it is killed.</summary>
    public static readonly TimeSpan UnknownLimit = TimeSpan.FromSeconds(10);

    /// <summary>How long an unused image stays.</summary>
    public static readonly TimeSpan ImageGrace = TimeSpan.FromHours(1);

    public static Plan Plan(ResourceKey key, Wish wish, Actual actual, DateTimeOffset now) => wish switch
    {
        Wish.Doubt doubt => Leave(key, doubt, actual),
        Wish.Declared { Resource: ContainerSpec { Suspend: true } spec } => Suspend(spec, actual),
        Wish.Declared { Resource: ContainerSpec spec } => Keep(spec, actual, now) ?? Make(spec, actual, now),
        Wish.Declared { Resource: ImageSpec spec } => HoldImage(spec, actual.Image),
        Wish.Retained retained => UseImage(actual.Image, $"{retained.By} is declared with it"),
        Wish.NotDeclared when key.Kind == ResourceKind.Container => RemoveAll(actual),
        Wish.NotDeclared => CollectImage(actual.Image, now),
        _ => throw new UnreachableException($"no plan for {wish}"),
    };

    private static Plan Leave(ResourceKey key, Wish.Doubt doubt, Actual actual)
    {
        var ready = key.Kind == ResourceKind.Image ? actual.Image is not null : actual.Containers.Any(c => c.State == ContainerState.Running);
        return Planning.Plan.Nothing(new Condition(ready, ConditionReason.SourceUnavailable, doubt.Reason));
    }

    private static Plan RemoveAll(Actual actual)
    {
        if (actual.Containers.Count == 0) return Planning.Plan.Nothing(new Condition(false, ConditionReason.Removed));
        return new Plan([.. actual.Containers.SelectMany(c => Remove(c, c.GracePeriod, "no longer declared"))], null,
            new Condition(false, ConditionReason.Removing, "no longer declared"));
    }

    /// <summary>Nothing of it runs, but the newest record stays as the memory of restarts and keeps the workload's volumes.</summary>
    private static Plan Suspend(ContainerSpec spec, Actual actual)
    {
        const string Why = "suspended";
        var actions = new List<NodeAction>();
        foreach (var container in actual.Containers)
        {
            var newest = container == actual.Containers[0];
            if (container.IsLive) actions.Add(Stop(container, spec.GracePeriod, Why));
            if (!newest || container.State == ContainerState.Created) actions.Add(new NodeAction.DeleteContainer(container.Id, Why));
            else actions.AddRange([.. RecordExit(container), .. Adopt(container, spec)]);
        }
        var reason = actions.Any(a => a is NodeAction.StopContainer) ? ConditionReason.Stopping : ConditionReason.Suspended;
        return new Plan([.. actions], null, new Condition(false, reason, Why));
    }

    /// <summary>A running copy of the wanted spec stays; everything else with this key goes. Null = there is none to keep.</summary>
    private static Plan? Keep(ContainerSpec spec, Actual actual, DateTimeOffset now)
    {
        var kept = actual.Containers.FirstOrDefault(c => c.IsLive && c.SpecHash == spec.Hash && c.StopBy is null && !c.RestartWanted && !c.LogBroken && !IsLost(c, now));
        if (kept is null) return null;
        var actions = actual.Containers.Where(c => c != kept).SelectMany(c => Remove(c, spec.GracePeriod, "another copy is kept")).ToList();
        actions.AddRange(Adopt(kept, spec));
        if (kept.State != ContainerState.Unknown)
        {
            var running = kept.State == ContainerState.Running;
            return new Plan([.. actions], null, running
                ? new Condition(true, ConditionReason.Running)
                : new Condition(false, ConditionReason.Paused, "paused by someone; resume it with ctr"));
        }
        var lookAgain = now + TimeSpan.FromMilliseconds(500);
        return new Plan([.. actions], kept.UnknownSince is { } since ? Earlier(since + UnknownLimit, lookAgain) : lookAgain,
            new Condition(false, ConditionReason.Unknown, "its shim does not answer: neither dead nor alive can be assumed"));
    }

    private static bool IsLost(ActualContainer container, DateTimeOffset now) =>
        container is { State: ContainerState.Unknown, UnknownSince: { } since } && now >= since + UnknownLimit;

    private static IEnumerable<NodeAction> Remove(ActualContainer container, TimeSpan grace, string why)
    {
        if (container.IsLive) yield return Stop(container, grace, why);
        yield return new NodeAction.DeleteContainer(container.Id, why);
    }

    /// <summary>What is left of a container without a shim hears no signal, so it gets no grace.</summary>
    private static NodeAction.StopContainer Stop(ActualContainer container, TimeSpan grace, string why) =>
        new(container.Id, container.State == ContainerState.Unknown ? TimeSpan.Zero : grace, container.StopBy, container.StopBy is null ? why : $"{why}; the stop under way is finished");

    private static IEnumerable<NodeAction> Adopt(ActualContainer container, ContainerSpec spec)
    {
        if (container.Source != spec.Source) yield return new NodeAction.AdoptContainer(container.Id, spec.Source, spec.GracePeriod, $"now declared by {spec.Source}");
        else if (container.GracePeriod != spec.GracePeriod) yield return new NodeAction.AdoptContainer(container.Id, spec.Source, spec.GracePeriod, "another grace period");
    }

    private static IEnumerable<NodeAction> RecordExit(ActualContainer container)
    {
        if (HasRun(container) && !container.ExitRecorded) yield return new NodeAction.RecordExit(container.Id, HowItEnded(container));
    }

    /// <summary>It ended, or its task vanished after it had started.</summary>
    private static bool HasRun(ActualContainer container) =>
        container.State == ContainerState.Exited || (container.State == ContainerState.NoTask && container.StartedAt is not null);

    private static string HowItEnded(ActualContainer container)
    {
        var code = container.ExitCode is { } known ? $"exit code {known}" : "exit code unknown";
        return container.Reason.Length > 0 ? $"{container.Reason}, {code}" : code;
    }

    private static DateTimeOffset Earlier(DateTimeOffset left, DateTimeOffset right) => left < right ? left : right;
}
