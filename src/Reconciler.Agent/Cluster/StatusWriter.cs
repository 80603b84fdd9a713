using System.Text.Json;
using Microsoft.Extensions.Logging;
using Reconciler.Agent.Runtime;
using Reconciler.Agent.State;
using Reconciler.Core.Engine;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Cluster;

/// <summary>
/// Keeps the status of this node's workloads in the API server as the node is: level-triggered, one write per transition, none when nothing
/// changed. What cannot be written now is written later, whatever happened in between.
/// </summary>
internal sealed partial class StatusWriter(
    ClusterClient client, KubernetesSource source, StateSink sink, IContainerRuntime runtime, Func<IReadOnlyList<PullProgress>> pulls,
    TimeProvider time, ILogger<StatusWriter> logger)
{
    /// <summary>Transitions that follow each other at once become one write.</summary>
    private static readonly TimeSpan Gather = TimeSpan.FromMilliseconds(100);

    private static readonly TimeSpan ProgressPeriod = TimeSpan.FromSeconds(5);

    private readonly Dictionary<ObjectName, Written> _written = [];

    /// <param name="Uid">Of the object it was written to.</param>
    /// <param name="Status">What was written; null = not known what the server has.</param>
    /// <param name="Conditions">With their times, as the server has them.</param>
    /// <param name="At">When.</param>
    /// <param name="Failures">Failed writes in a row.</param>
    private sealed record Written(string Uid, WorkloadStatus? Status, EquatableArray<ObjectCondition> Conditions, DateTimeOffset At, int Failures);

    public async Task RunAsync(CancellationToken stop)
    {
        while (true)
        {
            var (changed, sinkChanged) = (source.Changed.Next, sink.Changed.Next); // before anything is read
            var again = await WriteAllAsync(source.View, stop);
            var due = again ?? (pulls().Count > 0 ? ProgressPeriod : Timeout.InfiniteTimeSpan);
            using var quiet = CancellationTokenSource.CreateLinkedTokenSource(stop);
            await Task.WhenAny(changed, sinkChanged, Task.Delay(due, time, quiet.Token));
            await quiet.CancelAsync();
            await Task.Delay(Gather, time, stop);
        }
    }

    /// <summary>How long until something that failed is tried again; null = nothing did.</summary>
    private async Task<TimeSpan?> WriteAllAsync(ClusterView view, CancellationToken stop)
    {
        TimeSpan? again = null;
        foreach (var gone in _written.Keys.Where(name => !view.Workloads.ContainsKey(name)).ToList()) _written.Remove(gone);
        if (view.Doubt.Length > 0 && !view.Doubt.StartsWith(ObjectReason.SourceRegressed, StringComparison.Ordinal)) return null; // the next view comes with the connection
        var keys = sink.Keys();
        foreach (var (name, workload) in view.Workloads)
        {
            var before = _written.GetValueOrDefault(name);
            if (before is null || before.Uid != workload.Object.Uid) before = ReadBack(workload.Object);
            var status = await StatusOfAsync(view, workload, before, keys, stop);
            if (await WriteAsync(name, workload, before, status, stop) is { } wait && (again is null || wait < again)) again = wait;
        }
        return again;
    }

    private async Task<WorkloadStatus> StatusOfAsync(
        ClusterView view, ClusterWorkload workload, Written before, IReadOnlyDictionary<ResourceKey, KeyState> keys, CancellationToken stop)
    {
        var now = time.GetUtcNow();
        ObjectCondition Dated(string type, bool isTrue, string reason, string message) => ObjectCondition.Now(
            type, isTrue, reason, message, workload.Object.Generation, before.Conditions.FirstOrDefault(condition => condition.Type == type), now);
        if (workload.Object.IsDeleting) return WorkloadStatus.OfDeleted(workload, sink.Left(workload.Object.Name.Namespace, workload.Object.Name.Name), Dated);
        var actual = new Dictionary<ResourceKey, Actual>();
        foreach (var resource in workload.Resources)
        {
            try
            {
                actual[resource.Key] = await runtime.ObserveAsync(resource.Key, null, stop);
            }
            catch (RuntimeException)
            {
                actual[resource.Key] = Actual.Nothing; // the report tells that containerd is away
            }
        }
        return WorkloadStatus.Of(workload, view.Doubt, key => keys.GetValueOrDefault(key), key => actual[key], pulls(), Dated);
    }

    private async Task<TimeSpan?> WriteAsync(ObjectName name, ClusterWorkload workload, Written before, WorkloadStatus status, CancellationToken stop)
    {
        if (before.Status == status) return null;
        var now = time.GetUtcNow();
        if (before is { Status: { } last, Failures: 0 } // a pull that goes on is no transition
            && last.Settled == status.Settled && now - before.At is var passed && passed < ProgressPeriod) return ProgressPeriod - passed;
        try
        {
            var path = $"apis/reconciler.dev/v1alpha1/namespaces/{name.Namespace}/nodeworkloads/{name.Name}/status";
            using var answer = await client.ApplyAsync(path, status.Write(workload.Object), stop);
            _written[name] = new Written(workload.Object.Uid, status, status.Conditions, now, 0);
            return null;
        }
        catch (ClusterException e) when (e.IsConflict || e.IsNotFound)
        {
            _written[name] = before with { Failures = before.Failures + 1 };
            return Backoff.WhileUnavailable(before.Failures + 1); // the watch brings the newer object, or its deletion
        }
        catch (ClusterException e)
        {
            LogNotWritten(name, e.Message);
            var wait = Backoff.AfterFailure(before.Failures + 1, Random.Shared.NextDouble());
            _written[name] = before with { Failures = before.Failures + 1 };
            return e.RetryAfter is { } told && told > wait ? told : wait;
        }
    }

    /// <summary>Transition times outlive the agent: they are taken from the object.</summary>
    private Written ReadBack(ClusterObject workload)
    {
        using var document = JsonDocument.Parse(workload.Json);
        return new Written(workload.Uid, null, [.. ObjectCondition.ReadAll(document.RootElement.Find("status"))], time.GetUtcNow(), 0);
    }

    [LoggerMessage(3001, LogLevel.Warning, "The status of {Name} could not be written: {Message}")]
    private partial void LogNotWritten(ObjectName name, string message);
}
