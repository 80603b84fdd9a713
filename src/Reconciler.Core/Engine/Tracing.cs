using System.Diagnostics;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;

namespace Reconciler.Core.Engine;

/// <summary>Spans of the loop: one per pass over a key, with one per action below it. They hold names and reasons, never a value of the declaration.</summary>
public static class Tracing
{
    /// <summary>What a listener names.</summary>
    public const string SourceName = "Reconciler.Core";

    private static readonly ActivitySource Source = new(SourceName);

    /// <returns>Null = nobody listens.</returns>
    internal static Activity? Begin(ResourceKey key, TimeSpan waited)
    {
        if (Source.StartActivity("reconcile") is not { } span) return null;
        span.SetTag("reconciler.kind", LoopMetrics.Name(key.Kind)).SetTag("reconciler.queue_wait_s", waited.TotalSeconds);
        if (key.Kind == ResourceKind.Image) return span.SetTag("reconciler.image", key.Name);
        var name = key.Name.Split('/', 2);
        return span.SetTag("reconciler.namespace", key.Namespace).SetTag("reconciler.workload", name[0]).SetTag("reconciler.container", name[^1]);
    }

    /// <returns>Null = nobody listens.</returns>
    internal static Activity? Begin(NodeAction action)
    {
        if (Source.StartActivity(LoopMetrics.Name(action)) is not { } span) return null;
        var (tag, value) = action switch
        {
            NodeAction.PullImage pull => ("reconciler.image", pull.Reference),
            NodeAction.CreateContainer create => ("reconciler.image", create.Spec.Process.Image),
            NodeAction.StopContainer stop => ("reconciler.container_id", stop.Id),
            NodeAction.DeleteContainer delete => ("reconciler.container_id", delete.Id),
            NodeAction.RecordExit record => ("reconciler.container_id", record.Id),
            NodeAction.AdoptContainer adopt => ("reconciler.container_id", adopt.Id),
            NodeAction.RemoveImage remove => ("reconciler.image", remove.Reference),
            NodeAction.MarkImage mark => ("reconciler.image", mark.Reference),
            _ => throw new UnreachableException($"no tags for {action}"),
        };
        return span.SetTag(tag, value).SetTag("reconciler.reason", action.Reason);
    }
}
