namespace Reconciler.Agent.Cluster;

/// <summary>Types of conditions of NodeWorkloads and NodeWorkloadSets; docs/cluster.md and docs/controller.md say what they mean.</summary>
internal static class ConditionType
{
    public const string Ready = "Ready";
    public const string Reconciling = "Reconciling";
    public const string Stalled = "Stalled";
    public const string SourceRegressed = "SourceRegressed";
    public const string Stopped = "Stopped";
    public const string AgentLost = "AgentLost";
}
