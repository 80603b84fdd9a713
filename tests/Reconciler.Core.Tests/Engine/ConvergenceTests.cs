using CsCheck;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;
using Reconciler.Testing.Fakes;
using static Reconciler.Testing.Fakes.Specs;

namespace Reconciler.Core.Tests.Engine;

public sealed class ConvergenceTests
{
    private static readonly string[] Names = ["app", "side", "job"];

    private static Simulation Start(World world)
    {
        var simulation = new Simulation();
        foreach (var resource in world.Declared) simulation.Declared[resource.Key] = resource;
        foreach (var container in world.Containers) simulation.Node.Put(container);
        foreach (var image in world.Images) simulation.Node.Put(image);
        return simulation;
    }

    [Fact]
    public void After_a_plan_was_carried_out_the_next_one_only_waits() => World.Any.Sample(world =>
    {
        var simulation = Start(world);
        // What may not pull goes on once another key has pulled its image.
        var waiting = simulation.Plan().Where(p => p.Plan.Condition.Reason == ConditionReason.ErrImageNeverPull).Select(p => p.Key).ToHashSet();
        simulation.Pass();
        // An image is found unused only once the last container that used it is gone, and an exit is recorded once it was stopped.
        var left = simulation.Plan().Where(p => !waiting.Contains(p.Key)).SelectMany(p => p.Plan.Actions);
        Assert.DoesNotContain(left, action => action is not NodeAction.MarkImage and not NodeAction.RemoveImage and not NodeAction.RecordExit);
        simulation.Pass();
        simulation.Pass();
        Assert.Empty(simulation.Plan().SelectMany(p => p.Plan.Actions));
        Assert.Empty(simulation.Node.Violations);
    }, iter: 1000);

    [Fact]
    public void Planning_twice_gives_the_same_plan() => World.Any.Sample(world => Assert.Equal(
        Start(world).Plan().Select(p => (p.Key, p.Plan)), Start(world).Plan().Select(p => (p.Key, p.Plan))), iter: 500);

    public static TheoryData<string> Scenarios => ["create", "replace", "heal", "remove", "replace a dead one"];

    /// <summary>kill -9 at every boundary, also of the agent that comes after.</summary>
    [Theory]
    [MemberData(nameof(Scenarios))]
    public void An_agent_killed_at_any_step_leaves_what_the_next_one_completes(string scenario)
    {
        var steps = 0;
        for (var first = 1; first <= Math.Max(steps, 1); first++)
        {
            for (var second = 0; second <= steps; second++)
            {
                var simulation = Prepare(scenario);
                var sibling = simulation.Node.Running(Container("side").Key)!.Pid;
                var before = simulation.Runtime;
                simulation.Pass(KillAt(first));
                if (first == 1 && second == 0) steps = CountSteps(scenario);
                if (second > 0) simulation.Pass(KillAt(second));
                simulation.Converge();
                simulation.AssertAsDeclared();
                Assert.Equal(sibling, simulation.Node.Running(Container("side").Key)!.Pid);
                Assert.NotSame(before, simulation.Runtime);
            }
        }
        Assert.True(steps >= 3, $"{steps} steps");
    }

    private static int CountSteps(string scenario)
    {
        var simulation = Prepare(scenario);
        var before = simulation.Runtime.Steps.Count;
        simulation.Pass();
        return simulation.Runtime.Steps.Count - before;
    }

    private static Simulation Prepare(string scenario)
    {
        var simulation = new Simulation();
        var (app, side) = (Container(), Container("side"));
        simulation.Declared[side.Key] = side;
        if (scenario != "create") simulation.Declared[app.Key] = app;
        simulation.Converge();
        if (scenario is "heal" or "replace a dead one") simulation.Node.Exit(app.Key, 1);
        if (scenario == "remove") simulation.Declared.Remove(app.Key);
        else simulation.Declared[app.Key] = Container(version: scenario is "replace" or "replace a dead one" ? "2" : "1");
        return simulation;
    }

    private static Func<string, Exception?> KillAt(int step)
    {
        var count = 0;
        return _ => ++count == step ? new AgentKilledException() : null;
    }

    /// <param name="What">Kind of operation, 0 to 13.</param>
    private sealed record Op(int What, int Which, int Value);

    private static readonly Gen<Op[]> Operations =
        Gen.Select(Gen.Int[0, 13], Gen.Int[0, 2], Gen.Int[0, 24]).Select((what, which, value) => new Op(what, which, value)).Array[1, 30];

    [Fact]
    public void Any_history_of_declarations_exits_faults_and_kills_ends_as_declared() => Operations.Sample(operations =>
    {
        var simulation = new Simulation();
        foreach (var operation in operations) Apply(simulation, operation);
        simulation.IsUnsynced = false;
        simulation.Node.RegistryAway = false;
        simulation.Converge();
        simulation.AssertAsDeclared();
    }, iter: 1000);

    private static void Apply(Simulation simulation, Op operation)
    {
        var (node, key) = (simulation.Node, Container(Names[operation.Which]).Key);
        var spec = simulation.Declared.GetValueOrDefault(key) as ContainerSpec;
        switch (operation.What)
        {
            case 0 or 1:
                simulation.Declared[key] = Container(Names[operation.Which], $"{operation.Value % 3}") with
                {
                    RestartPolicy = (RestartPolicy)(operation.Value % 5 % 3), PullPolicy = (ImagePullPolicy)(operation.Value % 2),
                };
                break;
            case 2:
                simulation.Declared.Remove(key);
                break;
            case 3 when spec is not null:
                simulation.Declared[key] = spec with { Suspend = !spec.Suspend };
                break;
            case 4:
                node.Exit(key, operation.Value % 3 == 0 ? null : operation.Value % 2);
                break;
            case 5 when node.Containers.FirstOrDefault(c => c.Key == key) is { } container:
                node.DeleteTask(container.Id);
                break;
            case 6 when node.Containers.FirstOrDefault(c => c.Key == key && !c.IsLive) is { } dead:
                node.DeleteRecord(dead.Id);
                break;
            case 7:
                node.DeleteImage(Image);
                break;
            case 8:
                node.RegistryAway = !node.RegistryAway;
                break;
            case 9:
                node.Registry[Image] = $"sha256:{operation.Value}";
                break;
            case 10:
                simulation.IsUnsynced = !simulation.IsUnsynced;
                break;
            case 11:
                simulation.Time.Advance(TimeSpan.FromSeconds(Math.Pow(1.7, operation.Value % 15)));
                break;
            case 12:
                simulation.Pass(KillAt(operation.Value + 1));
                break;
            default:
                simulation.Pass(FailAt(operation.Value));
                break;
        }
    }

    private static Func<string, Exception?> FailAt(int value)
    {
        // NotFound is left out: said of what exists it would be a lie.
        RuntimeErrorKind[] kinds = [RuntimeErrorKind.Unavailable, RuntimeErrorKind.Conflict, RuntimeErrorKind.Failed, RuntimeErrorKind.Refused];
        var count = 0;
        return _ => ++count == value ? new RuntimeException(kinds[value % 4], "Injected", "an injected fault") : null;
    }
}
