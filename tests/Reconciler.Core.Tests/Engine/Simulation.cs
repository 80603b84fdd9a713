using Microsoft.Extensions.Time.Testing;
using Reconciler.Core.Engine;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;
using Reconciler.Testing.Fakes;
using static Reconciler.Testing.Fakes.Specs;

namespace Reconciler.Core.Tests.Engine;

/// <summary>One thread, virtual time: each pass plans the whole node and carries the plan out, as the plan command and the loop do.</summary>
internal sealed class Simulation
{
    private readonly DesiredStore _store = new([Folder]);
    private Executor _executor;

    public Simulation()
    {
        Node = new FakeNode(Time);
        Node.Registry[Image] = Digest;
        (Runtime, _executor) = NewAgent();
    }

    public FakeTimeProvider Time { get; } = new(Now);

    public FakeNode Node { get; }

    public FakeRuntime Runtime { get; private set; }

    public Dictionary<ResourceKey, DesiredResource> Declared { get; } = [];

    public bool IsUnsynced { get; set; }

    public IReadOnlyList<PlannedKey> Plan()
    {
        _store.Apply(FakeSource.State(Folder, [.. Declared.Values]) with { Synced = !IsUnsynced });
        return NodePlanner.PlanAll(_store.Current, Node.Observation, Time.GetUtcNow());
    }

    /// <summary>One pass over every key; an agent that is killed in it is replaced by a new one. True = it did something.</summary>
    public bool Pass(Func<string, Exception?>? fault = null)
    {
        Runtime.Fault = fault ?? (_ => null);
        var plans = Plan();
        try
        {
            foreach (var planned in plans) Run(planned);
        }
        catch (AgentKilledException)
        {
            (Runtime, _executor) = NewAgent();
        }
        Runtime.Fault = _ => null;
        return plans.Any(planned => planned.Plan.Actions.Count > 0);
    }

    /// <summary>Passes until nothing is to be done and no restart is waited for.</summary>
    public void Converge()
    {
        for (var pass = 0; pass < 400; pass++)
        {
            var acted = Pass();
            if (!acted && !Plan().Any(p => p.Key.Kind == ResourceKind.Container && p.Plan.LookAgainAt is not null)) return;
            Time.Advance(TimeSpan.FromSeconds(5));
        }
        Assert.Fail("did not converge: " + string.Join(", ", Plan().Select(p => $"{p.Key} {p.Plan.Condition}: {Tests.Planning.Plans.Show(p.Plan)}")));
    }

    /// <summary>As declared: one running copy of each, no other record, nothing forbidden happened.</summary>
    public void AssertAsDeclared()
    {
        Assert.Empty(Node.Violations);
        foreach (var spec in Declared.Values.OfType<ContainerSpec>().Where(s => !s.Suspend))
        {
            var records = Node.Containers.Where(c => c.Key == spec.Key).ToList();
            var only = Assert.Single(records);
            Assert.Equal(spec.Hash, only.SpecHash);
            Assert.True(only.State == ContainerState.Running || spec.RestartPolicy != RestartPolicy.Always, $"{only}");
        }
        Assert.DoesNotContain(Node.Containers, c => !Declared.ContainsKey(c.Key));
        Assert.DoesNotContain(Node.Containers, c => c.State == ContainerState.Running && Declared[c.Key] is ContainerSpec { Suspend: true });
    }

    private void Run(PlannedKey planned)
    {
        var kept = Node.Containers.Where(c => c.State == ContainerState.Running && !Names(planned.Plan, c.Id)).ToDictionary(c => c.Id, c => c.Pid);
        var mine = planned.Actual.Containers.Select(c => c.Id).ToHashSet();
        Assert.DoesNotContain(planned.Plan.Actions, action => IdOf(action) is { } id && !mine.Contains(id));
        try
        {
            var run = _executor.RunAsync(planned.Plan, CancellationToken.None, CancellationToken.None);
            // Only a grace period waits here, and only for time.
            while (!run.IsCompleted) Time.Advance(TimeSpan.FromSeconds(1));
            run.GetAwaiter().GetResult();
        }
        finally
        {
            foreach (var (id, pid) in kept) Assert.Equal(pid, Node.Containers.Single(c => c.Id == id).Pid);
        }
    }

    private (FakeRuntime, Executor) NewAgent()
    {
        var runtime = new FakeRuntime(Node);
        return (runtime, new Executor(runtime, new RuncGate(1), LoopMetrics.Unheard));
    }

    private static bool Names(Plan plan, string id) => plan.Actions.Any(action => IdOf(action) == id);

    private static string? IdOf(NodeAction action) => action switch
    {
        NodeAction.StopContainer stop => stop.Id,
        NodeAction.DeleteContainer delete => delete.Id,
        NodeAction.RecordExit record => record.Id,
        NodeAction.AdoptContainer adopt => adopt.Id,
        _ => null,
    };
}
