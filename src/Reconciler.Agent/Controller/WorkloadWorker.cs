using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Reconciler.Agent.Cluster;
using Reconciler.Core.Engine;
using Reconciler.Core.Planning;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Controller;

/// <summary>Carries out the plans of single workloads: finalizers, orphans, lost agents.</summary>
internal sealed partial class WorkloadWorker(ClusterClient client, LiveChecks live, TimeProvider time, ILogger<WorkloadWorker> logger)
{
    private static readonly TimeSpan SeenAgain = TimeSpan.FromSeconds(5);

    public async Task RunAsync(WorkLease<WorkKey> lease, ClusterFacts cluster)
    {
        if (!cluster.Workloads.TryGetValue(lease.Key.Name, out var workload))
        {
            lease.Rest(null);
            return;
        }
        var now = time.GetUtcNow();
        var plan = WorkloadPlanner.Plan(workload, cluster, now);
        try
        {
            if (plan.AgentLost is { } lost) await WriteLostAsync(workload, lost, lease.Token);
            if (plan.IsOrphan) await DeleteOrphanAsync(workload, lease.Token);
            if (plan.Release != Release.None) await ReleaseAsync(workload, plan.Release, lease.Token);
            var acted = plan.AgentLost is not null || plan.IsOrphan || plan.Release != Release.None;
            lease.Rest(acted ? SeenAgain : plan.LookAgainAt - now);
        }
        catch (ClusterException e) when (e.IsConflict || e.IsNotFound || e.Status == 422)
        {
            lease.Rest(SeenAgain); // it is another object, or changed meanwhile: the watch brings it
        }
        catch (ClusterException e)
        {
            if (lease.Attempt == 0) LogFailed(workload.Name, e.Message);
            var wait = Backoff.WhileUnavailable(lease.Attempt + 1);
            lease.Fail(e.RetryAfter is { } told && told > wait ? told : wait);
        }
    }

    private async Task ReleaseAsync(Workload workload, Release why, CancellationToken cancellation)
    {
        if (why == Release.NodeGone && !await live.IsNodeGoneAsync(workload.NodeName, cancellation)) return;
        if (why == Release.Forced) await TellForcedAsync(workload, cancellation);
        var at = string.Create(CultureInfo.InvariantCulture, $"/metadata/finalizers/{workload.StopFinalizerAt}");
        var patch = $$"""
            [{"op":"test","path":"/metadata/uid","value":"{{workload.Uid}}"},{"op":"test","path":"{{at}}","value":"{{Workload.StopFinalizer}}"},{"op":"remove","path":"{{at}}"}]
            """;
        using var released = await client.PatchAsync(ChildDocument.PathOf(workload.Name), Encoding.UTF8.GetBytes(patch), ClusterClient.JsonPatch, cancellation);
        LogReleased(workload.Name, workload.NodeName, why);
    }

    private async Task DeleteOrphanAsync(Workload workload, CancellationToken cancellation)
    {
        if (!await live.IsSetGoneAsync(workload.Name.Namespace, workload.Owner!, cancellation)) return;
        LogOrphan(workload.Name, workload.Owner!.Name);
        // With its version: whoever releases it from its owner in this moment, as kubectl delete --cascade=orphan does, keeps it.
        using var deleted = await client.DeleteAsync(ChildDocument.PathOf(workload.Name), SetWorker.Preconditions(workload, withVersion: true), cancellation);
    }

    private async Task WriteLostAsync(Workload workload, ObjectCondition lost, CancellationToken cancellation)
    {
        var body = StatusDocument.Write("NodeWorkload", workload.Name, workload.Uid, workload.ResourceVersion, json => ObjectCondition.WriteAll(json, [lost]));
        using var written = await client.ApplyAsync(ChildDocument.PathOf(workload.Name) + "/status", body, cancellation);
        LogAgent(workload.Name, workload.NodeName, lost.Reason);
    }

    /// <summary>The record of who was let go without proof. It comes before the deed: what cannot be recorded is not done.</summary>
    private async Task TellForcedAsync(Workload workload, CancellationToken cancellation)
    {
        var buffer = new ArrayBufferWriter<byte>(1024);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("apiVersion", "events.k8s.io/v1");
            json.WriteString("kind", "Event");
            json.WriteStartObject("metadata");
            json.WriteString("name", $"{workload.Name.Name[..Math.Min(workload.Name.Name.Length, 200)].TrimEnd('-', '.')}.forced-{workload.Uid}");
            json.WriteString("namespace", workload.Name.Namespace);
            json.WriteEndObject();
            json.WriteString("eventTime", ClusterTime.Micro(time.GetUtcNow()));
            json.WriteString("reportingController", "reconciler.dev/controller");
            json.WriteString("reportingInstance", Environment.MachineName);
            json.WriteString("type", "Warning");
            json.WriteString("reason", "ForceReleased");
            json.WriteString("action", "Release");
            json.WriteString("note", $"released by annotation {Workload.ForceRelease}: on node {workload.NodeName} its containers may still run");
            json.WriteStartObject("regarding");
            json.WriteString("apiVersion", "reconciler.dev/v1alpha1");
            json.WriteString("kind", "NodeWorkload");
            json.WriteString("name", workload.Name.Name);
            json.WriteString("namespace", workload.Name.Namespace);
            json.WriteString("uid", workload.Uid);
            json.WriteEndObject();
            json.WriteEndObject();
        }
        try
        {
            using var told = await client.PostAsync($"apis/events.k8s.io/v1/namespaces/{workload.Name.Namespace}/events", buffer.WrittenMemory, cancellation);
        }
        catch (ClusterException e) when (e.IsConflict)
        {
            // An earlier attempt told it.
        }
    }

    [LoggerMessage(3501, LogLevel.Information, "{Workload} on node {Node} is released: {Why}")]
    private partial void LogReleased(ObjectName workload, string node, Release why);

    [LoggerMessage(3502, LogLevel.Information, "{Workload} is deleted: its set {Set} is gone")]
    private partial void LogOrphan(ObjectName workload, string set);

    [LoggerMessage(3503, LogLevel.Information, "{Workload} on node {Node}: {Reason}")]
    private partial void LogAgent(ObjectName workload, string node, string reason);

    [LoggerMessage(3504, LogLevel.Warning, "{Workload}: {Message}")]
    private partial void LogFailed(ObjectName workload, string message);
}
