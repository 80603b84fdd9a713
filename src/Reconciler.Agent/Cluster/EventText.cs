using Reconciler.Agent.State;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;

namespace Reconciler.Agent.Cluster;

/// <summary>An event for people, before it is one of the API server's.</summary>
/// <param name="Type">Normal or Warning.</param>
/// <param name="Reason">CamelCase word.</param>
/// <param name="Action">What was done, or tried.</param>
/// <param name="Note">One sentence; never holds an env value.</param>
internal sealed record NodeEvent(string Type, string Reason, string Action, string Note);

/// <summary>What a pass and its report are worth telling in the cluster. Pure.</summary>
internal static class EventText
{
    /// <summary>Of a pass that has not acted yet.</summary>
    /// <param name="before">The last report of the key; null = none.</param>
    /// <param name="planned">What was found, and what is now done.</param>
    public static IEnumerable<NodeEvent> Of(KeyState? before, PlannedKey planned)
    {
        if (Drift.Of(before, planned) is { } drift) yield return new NodeEvent("Warning", "Drifted", "Reconcile", drift);
        foreach (var pull in planned.Plan.Actions.OfType<NodeAction.PullImage>())
            yield return new NodeEvent("Normal", "Pulling", "Pull", $"Pulling image {pull.Reference} ({pull.Reason})");
    }

    /// <summary>Of what was done.</summary>
    public static IEnumerable<NodeEvent> Of(StatusReport report)
    {
        var done = report.Failed && report.Actions.Count > 0 ? report.Actions.Count - 1 : report.Actions.Count;
        for (var i = 0; i < done; i++)
            foreach (var happened in Of(report.Actions[i]))
                yield return happened;
        if (report.Failed) yield return new NodeEvent("Warning", Word(report.Condition.Reason, "Failed"), "Reconcile", $"{report.Condition.Message} (attempt {report.Attempt})");
        else if (report.Condition.Reason == ConditionReason.CrashLoopBackOff) yield return new NodeEvent("Warning", "BackOff", "Restart", report.Condition.Message);
        else if (report.Condition.Reason == ConditionReason.ImageStale) yield return new NodeEvent("Warning", ConditionReason.ImageStale, "Pull", report.Condition.Message);
    }

    private static IEnumerable<NodeEvent> Of(NodeAction action) => action switch
    {
        NodeAction.PullImage pull => [new NodeEvent("Normal", "Pulled", "Pull", $"Pulled image {pull.Reference}")],
        NodeAction.CreateContainer create =>
        [
            new NodeEvent("Normal", "Created", "Create", $"Created container {create.Spec.Name} with image {create.Spec.Process.Image} ({create.Reason})"),
            new NodeEvent("Normal", "Started", "Start", $"Started container {create.Spec.Name}"),
        ],
        NodeAction.StopContainer stop => [new NodeEvent("Normal", "Killing", "Stop", $"Stopped container {stop.Id} ({stop.Reason})")],
        NodeAction.RecordExit exit when exit.Reason.StartsWith(ConditionReason.OOMKilled, StringComparison.Ordinal) =>
            [new NodeEvent("Warning", ConditionReason.OOMKilled, "Run", $"Container {exit.Id} ran out of memory ({exit.Reason})")],
        NodeAction.RecordExit { Reason: var why } exit when !why.EndsWith("exit code 0", StringComparison.Ordinal) =>
            [new NodeEvent("Warning", "Exited", "Run", $"Container {exit.Id} ended ({why})")],
        _ => [],
    };

    private static string Word(string reason, string otherwise) => reason.Length > 0 ? reason : otherwise;
}
