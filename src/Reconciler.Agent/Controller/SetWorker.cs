using System.Buffers;
using System.Collections.Concurrent;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Reconciler.Core.Engine;
using Reconciler.Core.Planning;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Controller;

/// <summary>Carries out the plans of sets: children first, then the status, each only where it differs.</summary>
internal sealed partial class SetWorker(ClusterClient client, LiveChecks live, TimeProvider time, ILogger<SetWorker> logger)
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan SeenAgain = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan LongestRefusal = TimeSpan.FromSeconds(30);

    private readonly ConcurrentDictionary<ObjectName, SetMemory> _memories = [];

    public async Task RunAsync(WorkLease<WorkKey> lease, ClusterFacts cluster)
    {
        var now = time.GetUtcNow();
        if (!cluster.Sets.TryGetValue(lease.Key.Name, out var set))
        {
            _memories.TryRemove(lease.Key.Name, out _);
            lease.Rest(null);
            return;
        }
        var memory = _memories.AddOrUpdate(set.Name, _ => new SetMemory(set.Uid), (_, old) => old.Uid == set.Uid ? old : new SetMemory(set.Uid));
        if (memory.Waits(cluster.WorkloadsVersion, now))
        {
            lease.Rest(SeenAgain); // the event itself brings the set back earlier
            return;
        }
        var before = memory.StatusOf(set);
        var plan = SetPlanner.Plan(set, cluster, before, memory.RefusalOf(set), now);
        var statusFailure = await WriteStatusAsync(set, plan.Status, before, memory, lease.Token); // first: a thousand children take their time
        var failure = await WriteChildrenAsync(set, plan, memory, lease.Token);
        var refusal = failure is null ? "" : IsRefusal(failure) ? failure.Message : memory.RefusalOf(set);
        if (refusal != memory.RefusalOf(set))
        {
            memory.Refused(set, refusal);
            lease.Again(Soon); // to say so, in the version of the set that the status above made
            return;
        }
        Settle(lease, set, failure ?? statusFailure, plan.LookAgainAt - now);
    }

    private void Settle(WorkLease<WorkKey> lease, WorkloadSet set, ClusterException? failure, TimeSpan? next)
    {
        switch (failure)
        {
            case null:
                lease.Rest(next);
                break;
            case { IsConflict: true } or { IsNotFound: true }:
                lease.Rest(SeenAgain); // somebody was faster, and the watch brings what he wrote; or the server is starting
                break;
            default:
                var wait = IsRefusal(failure) ? Backoff.AfterFailure(lease.Attempt + 1, Random.Shared.NextDouble()) : Backoff.WhileUnavailable(lease.Attempt + 1);
                if (wait > LongestRefusal) wait = LongestRefusal;
                if (failure.RetryAfter is { } told && told > wait) wait = told;
                if (lease.Attempt == 0) LogFailed(set.Name, failure.Message);
                lease.Fail(wait);
                break;
        }
    }

    private async Task<ClusterException?> WriteChildrenAsync(WorkloadSet set, SetPlan plan, SetMemory memory, CancellationToken cancellation)
    {
        if (!plan.ChangesChildren) return null;
        LogChanges(set.Name, plan.Creates.Length, plan.Updates.Length, plan.Deletes.Length);
        var deletes = await SlowStart.RunAsync(plan.Deletes, deletion => DeleteAsync(deletion, memory, cancellation));
        var updates = await SlowStart.RunAsync(plan.Updates, child => UpdateAsync(set, child, memory, cancellation));
        var creates = await SlowStart.RunAsync(plan.Creates, node => CreateAsync(set, node, memory, cancellation));
        return deletes ?? updates ?? creates;
    }

    /// <summary>Without force: an object of the same name that somebody made in this moment is a conflict.</summary>
    private async Task CreateAsync(WorkloadSet set, string node, SetMemory memory, CancellationToken cancellation)
    {
        var path = ChildDocument.PathOf(set.Name with { Name = ChildNames.Of(set.Name.Name, node) });
        var manager = Uri.EscapeDataString(client.Program);
        using var made = await client.PatchAsync($"{path}?fieldManager={manager}", ChildDocument.Write(set, node, null), ClusterClient.Apply, cancellation);
        memory.Wrote(made.RootElement, time.GetUtcNow());
    }

    private async Task UpdateAsync(WorkloadSet set, Workload child, SetMemory memory, CancellationToken cancellation)
    {
        using var changed = await client.ApplyAsync(ChildDocument.PathOf(child.Name), ChildDocument.Write(set, child.NodeName, child.Uid), cancellation);
        memory.Wrote(changed.RootElement, time.GetUtcNow());
    }

    private async Task DeleteAsync(ChildDeletion deletion, SetMemory memory, CancellationToken cancellation)
    {
        if (deletion.NodeGone && !await live.IsNodeGoneAsync(deletion.Child.NodeName, cancellation)) return;
        try
        {
            using var deleted = await client.DeleteAsync(ChildDocument.PathOf(deletion.Child.Name), Preconditions(deletion.Child, withVersion: false), cancellation);
            memory.Wrote(deleted.RootElement, time.GetUtcNow());
        }
        catch (ClusterException e) when (e.IsNotFound)
        {
            // It is gone already.
        }
    }

    private async Task<ClusterException?> WriteStatusAsync(
        WorkloadSet set, SetStatus? status, SetStatus before, SetMemory memory, CancellationToken cancellation)
    {
        if (status is null || status == before) return null;
        try
        {
            var path = $"apis/reconciler.dev/v1alpha1/namespaces/{set.Name.Namespace}/nodeworkloadsets/{set.Name.Name}/status";
            using var written = await client.ApplyAsync(path, status.Write(set), cancellation);
            memory.WroteStatus(written.RootElement, status);
            return null;
        }
        catch (ClusterException e)
        {
            return e;
        }
    }

    /// <summary>DeleteOptions that spare an object that is not, or no longer, the one that was looked at.</summary>
    public static byte[] Preconditions(Workload child, bool withVersion)
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("kind", "DeleteOptions");
            json.WriteString("apiVersion", "v1");
            json.WriteStartObject("preconditions");
            json.WriteString("uid", child.Uid);
            if (withVersion) json.WriteString("resourceVersion", child.ResourceVersion);
            json.WriteEndObject();
            json.WriteEndObject();
        }
        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>The same request would be refused again, until something else changes.</summary>
    private static bool IsRefusal(ClusterException e) => e.Status is 400 or 403 or 422;

    [LoggerMessage(3401, LogLevel.Information, "{Set}: {Creates} children to create, {Updates} to update, {Deletes} to delete")]
    private partial void LogChanges(ObjectName set, int creates, int updates, int deletes);

    [LoggerMessage(3402, LogLevel.Warning, "{Set}: {Message}")]
    private partial void LogFailed(ObjectName set, string message);
}
