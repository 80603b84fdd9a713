using CsCheck;
using Reconciler.Core.Engine;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Testing.Fakes;
using static Reconciler.Testing.Fakes.Specs;

namespace Reconciler.Core.Tests.Engine;

/// <summary>The loop against random nodes, on its real tasks.</summary>
public sealed class LoopPropertyTests
{
    /// <summary>What plan prints is what the agent does: same actions, same order for each key.</summary>
    [Fact]
    public Task The_loop_does_what_the_plan_says() => World.Any.SampleAsync(async any =>
    {
        // Where one key's pull serves another, who comes first decides what is left to do.
        var world = any.Images.Count > 0 ? any : any with { Images = [Present()] };
        await using var loop = new LoopHarness();
        foreach (var container in world.Containers) loop.Node.Put(container);
        foreach (var image in world.Images) loop.Node.Put(image);
        var plans = Plan(loop, world).Where(p => p.Key.Kind == ResourceKind.Container && p.Plan.Condition.Reason != ConditionReason.ErrImageNeverPull).ToList();
        loop.Start();
        loop.Source.Declare([.. world.Declared]);
        await loop.UntilAsync(() => plans.All(p => IsReported(loop, p)) && !Plan(loop, world).Any(p => Acts(p) && plans.Any(q => q.Key == p.Key)), "the plan to be carried out");
        foreach (var planned in plans) Assert.Equal(planned.Plan.Actions.Where(action => IsOf(action, planned)), loop.Runtime.Executed.Where(action => IsOf(action, planned) && !IsAfterStop(action, planned)));
        Assert.Empty(loop.Node.Violations);
    }, iter: 60, threads: 1);

    private static IReadOnlyList<PlannedKey> Plan(LoopHarness loop, World world)
    {
        var store = new DesiredStore([Folder]);
        store.Apply(FakeSource.State(Folder, [.. world.Declared]));
        return NodePlanner.PlanAll(store.Current, loop.Node.Observation, Now);
    }

    private static bool Acts(PlannedKey planned) => planned.Plan.Actions.Count > 0;

    private static bool IsReported(LoopHarness loop, PlannedKey planned) =>
        planned.Wish is Wish.NotDeclared ? loop.Node.Containers.All(c => c.Key != planned.Key) : loop.Sink.Latest(planned.Key) is not null;

    /// <summary>The exit of one that was stopped to stay is recorded by the pass after.</summary>
    private static bool IsAfterStop(NodeAction action, PlannedKey planned) =>
        action is NodeAction.RecordExit record && planned.Plan.Actions.Any(other => other is NodeAction.StopContainer stop && stop.Id == record.Id);

    private static bool IsOf(NodeAction action, PlannedKey planned)
    {
        var ids = planned.Actual.Containers.Select(c => c.Id).ToHashSet();
        return action switch
        {
            NodeAction.CreateContainer create => create.Spec.Key == planned.Key,
            NodeAction.StopContainer stop => ids.Contains(stop.Id),
            NodeAction.DeleteContainer delete => ids.Contains(delete.Id),
            NodeAction.RecordExit record => ids.Contains(record.Id),
            NodeAction.AdoptContainer adopt => ids.Contains(adopt.Id),
            // A pull names only its image, which several keys share.
            _ => false,
        };
    }
}
