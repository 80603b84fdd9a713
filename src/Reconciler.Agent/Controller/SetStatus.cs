using System.Text.Json;
using Reconciler.Agent.Cluster;
using Reconciler.Core.Model;

namespace Reconciler.Agent.Controller;

/// <summary>Status of a NodeWorkloadSet; the counters are DaemonSet's.</summary>
internal sealed record SetStatus
{
    /// <summary>-1 = no controller has seen it yet.</summary>
    public long ObservedGeneration { get; init; } = -1;

    public string UpdateRevision { get; init; } = "";

    /// <summary>Nodes that shall have a copy.</summary>
    public int DesiredNumberScheduled { get; init; }

    /// <summary>Those of them that have one.</summary>
    public int CurrentNumberScheduled { get; init; }

    public int UpdatedNumberScheduled { get; init; }

    public int NumberReady { get; init; }

    /// <summary>Ready for minReadySeconds.</summary>
    public int NumberAvailable { get; init; }

    public int NumberUnavailable { get; init; }

    /// <summary>Nodes that have a copy and shall not.</summary>
    public int NumberMisscheduled { get; init; }

    public EquatableArray<ObjectCondition> Conditions { get; init; }

    public ObjectCondition? Condition(string type) => Conditions.FirstOrDefault(condition => condition.Type == type);

    public static SetStatus Read(JsonElement status) => new()
    {
        ObservedGeneration = status.Number("observedGeneration") ?? -1,
        UpdateRevision = status.Text("updateRevision"),
        DesiredNumberScheduled = Count(status, "desiredNumberScheduled"),
        CurrentNumberScheduled = Count(status, "currentNumberScheduled"),
        UpdatedNumberScheduled = Count(status, "updatedNumberScheduled"),
        NumberReady = Count(status, "numberReady"),
        NumberAvailable = Count(status, "numberAvailable"),
        NumberUnavailable = Count(status, "numberUnavailable"),
        NumberMisscheduled = Count(status, "numberMisscheduled"),
        Conditions = ObjectCondition.ReadAll(status).Where(condition => condition.Type is ConditionType.Ready or ConditionType.Reconciling or ConditionType.Stalled).ToEquatableArray(),
    };

    /// <summary>The whole of what is applied to /status.</summary>
    public byte[] Write(WorkloadSet set) => StatusDocument.Write("NodeWorkloadSet", set.Name, set.Uid, set.ResourceVersion, json =>
    {
        json.WriteNumber("observedGeneration", ObservedGeneration);
        json.WriteString("updateRevision", UpdateRevision);
        json.WriteNumber("desiredNumberScheduled", DesiredNumberScheduled);
        json.WriteNumber("currentNumberScheduled", CurrentNumberScheduled);
        json.WriteNumber("updatedNumberScheduled", UpdatedNumberScheduled);
        json.WriteNumber("numberReady", NumberReady);
        json.WriteNumber("numberAvailable", NumberAvailable);
        json.WriteNumber("numberUnavailable", NumberUnavailable);
        json.WriteNumber("numberMisscheduled", NumberMisscheduled);
        ObjectCondition.WriteAll(json, Conditions);
    });

    private static int Count(JsonElement status, string name) => (int)Math.Clamp(status.Number(name) ?? 0, 0, int.MaxValue);
}
