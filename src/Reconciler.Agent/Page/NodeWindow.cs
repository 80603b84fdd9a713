using Reconciler.Agent.Commands.Output;
using Reconciler.Agent.Runtime;
using Reconciler.Agent.State;
using Reconciler.Core.Engine;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;

namespace Reconciler.Agent.Page;

/// <summary>Reads what the page shows out of the agent's memory. It asks containerd nothing and costs nothing until someone looks.</summary>
internal sealed class NodeWindow(TimeProvider time)
{
    private const int MaxActions = 50;

    private static readonly ChangeSignal Never = new();

    private volatile StateSink? _sink;
    private volatile Work? _work;

    /// <summary>Done when there is news of a container or an image; of what else the page shows nothing tells.</summary>
    public Task Changed => (_sink?.Changed ?? Never).Next;

    public void Show(StateSink sink) => _sink = sink;

    public void Show(ReconcileLoop loop, ContainerdRuntime runtime) => _work = new Work(loop, runtime);

    /// <summary>Its version; empty until it answered.</summary>
    public string Containerd { get; set; } = "";

    public NodeSight Look()
    {
        var memory = _sink?.Snapshot() ?? new AgentState { Agent = new AgentProcess { Phase = "Starting", Message = "another agent has the state dir" } };
        var sight = new NodeSight { State = memory, Containerd = Containerd, Actions = Actions(memory.Keys.Concat(_sink?.Forgotten() ?? [])) };
        return _work is { } work ? With(sight, work) : sight with { Containers = ContainerRow.From(Core.Ports.NodeObservation.Empty, memory, agentAlive: true) };
    }

    private NodeSight With(NodeSight sight, Work work)
    {
        var (desired, observed) = (work.Loop.Desired, work.Runtime.Remembered());
        var records = observed.Resources.Values.Where(actual => actual.Image is not null).ToDictionary(actual => actual.Image!.Reference, actual => actual.Image!);
        var present = records.ToDictionary(record => record.Key, record => new ImageFacts(record.Key, record.Value.Digest, record.Value.Size, null));
        var plans = NodePlanner.PlanAll(desired, observed, time.GetUtcNow());
        var memory = sight.State with { Pulls = PullState.Of(work.Runtime.Snapshot()), Keys = [.. sight.State.Keys, .. NotBegun(plans, sight.State)] };
        return sight with
        {
            Sources = desired.Sources,
            Containers = ContainerRow.From(observed, memory, agentAlive: true),
            Images = ImageRow.From(present, records, memory, agentAlive: true),
            Plan = desired.IsSynced && work.Runtime.IsListed ? PlanText.Of(plans, showEnv: false) : null,
        };
    }

    /// <summary>Declared containers of which nothing has been reported yet: their image is being pulled, or their turn comes.</summary>
    private static IEnumerable<KeyState> NotBegun(IReadOnlyList<PlannedKey> plans, AgentState memory)
    {
        var known = memory.Keys.Select(key => key.Key).ToHashSet();
        return
            from planned in plans
            let declared = (planned.Wish as Wish.Declared)?.Resource as ContainerSpec
            where declared is not null && planned.Actual.Containers.Count == 0 && !known.Contains(planned.Key)
            select new KeyState
            {
                Kind = planned.Key.Kind, Namespace = planned.Key.Namespace, Name = planned.Key.Name,
                Reason = planned.Plan.Condition.Reason, Message = planned.Plan.Condition.Message, Image = declared.Process.Image,
            };
    }

    private static List<(ResourceKey, KeyEvent)> Actions(IEnumerable<KeyState> keys) =>
    [
        .. keys
            .SelectMany(key => key.Events.Select((happened, place) => (key.Key, Event: happened, Place: place)))
            .OrderByDescending(action => action.Event.At).ThenByDescending(action => action.Place).ThenBy(action => action.Key.ToString(), StringComparer.Ordinal)
            .Take(MaxActions)
            .Select(action => (action.Key, action.Event)),
    ];

    private sealed record Work(ReconcileLoop Loop, ContainerdRuntime Runtime);
}
