using Reconciler.Core.Planning;

namespace Reconciler.Core.Tests.Planning;

/// <summary>Plans as short lines, so that a table row can say what it expects.</summary>
internal static class Plans
{
    public static string Show(Plan plan) => string.Join("; ", plan.Actions.Select(Show));

    public static string Show(NodeAction action) => action switch
    {
        NodeAction.PullImage pull => pull.PresentDigest is null ? "pull" : "pull or present",
        NodeAction.CreateContainer create =>
            $"create {create.Incarnation} r{create.Restarts} f{create.Failures}{(create.ImageDigest is null ? "" : " same digest")}",
        NodeAction.StopContainer stop => $"stop {Incarnation(stop.Id)}{(stop.Deadline is null ? "" : " at deadline")} {stop.Grace.TotalSeconds}s",
        NodeAction.DeleteContainer delete => $"delete {Incarnation(delete.Id)}",
        NodeAction.RecordExit record => $"record {Incarnation(record.Id)}",
        NodeAction.AdoptContainer adopt => $"adopt {Incarnation(adopt.Id)} {adopt.Source} {adopt.Grace.TotalSeconds}s",
        NodeAction.RemoveImage => "remove image",
        NodeAction.MarkImage mark => mark.UnusedSince is null ? "mark used" : "mark unused",
        _ => throw new InvalidOperationException($"{action}"),
    };

    private static string Incarnation(string id) => id[(id.LastIndexOf('-') + 1)..];
}
