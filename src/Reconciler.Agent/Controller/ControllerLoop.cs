using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Reconciler.Agent.Metrics;
using Reconciler.Core.Engine;
using Reconciler.Core.Planning;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Controller;

/// <summary>What a leader does: follows four lists, and works on the keys that their changes name. One object runs once.</summary>
internal sealed partial class ControllerLoop : IDisposable
{
    /// <summary>Name of the <see cref="ActivitySource"/> with a span for each pass over a key; without a listener none is made.</summary>
    public const string ActivitySourceName = "Reconciler.Controller";

    private const int Workers = 16;

    private static readonly ActivitySource Spans = new(ActivitySourceName);

    /// <summary>Changes that follow each other at once are looked at once.</summary>
    private static readonly TimeSpan Gather = TimeSpan.FromMilliseconds(50);

    private readonly ClusterClient _client;
    private readonly TimeProvider _time;
    private readonly ILoggerFactory _loggers;
    private readonly ILogger _logger;
    private readonly string _leaseNamespace;
    private readonly WorkQueue<WorkKey> _queue;
    private readonly FactStore _facts = new();
    private readonly ChangeSignal _changed = new();
    private readonly Lock _lock = new();
    private readonly SetWorker _sets;
    private readonly WorkloadWorker _workloads;
    private readonly ControllerMetrics _metrics;
    private ClusterLists _lists = ClusterLists.Nothing;

    /// <param name="client">The server.</param>
    /// <param name="leaseNamespace">Where the agents' Leases are.</param>
    /// <param name="time">Clock of all waits.</param>
    /// <param name="metrics">Gets the waits in the queue.</param>
    /// <param name="loggers">For all parts.</param>
    public ControllerLoop(ClusterClient client, string leaseNamespace, TimeProvider time, ControllerMetrics metrics, ILoggerFactory loggers)
    {
        (_client, _leaseNamespace, _time, _metrics, _loggers) = (client, leaseNamespace, time, metrics, loggers);
        _logger = loggers.CreateLogger<ControllerLoop>();
        _queue = new WorkQueue<WorkKey>(time);
        var live = new LiveChecks(client);
        _sets = new SetWorker(client, live, time, loggers.CreateLogger<SetWorker>());
        _workloads = new WorkloadWorker(client, live, time, loggers.CreateLogger<WorkloadWorker>());
    }

    /// <summary>The cluster as it is known now.</summary>
    public ClusterFacts Facts => _facts.Current;

    /// <summary>Keys by what they wait for.</summary>
    public QueueDepth Queued => _queue.Depth;

    /// <summary>Ends with <paramref name="leading"/>; no request of it is under way afterwards.</summary>
    public async Task RunAsync(CancellationToken leading)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(leading);
        var stop = ended.Token;
        Task[] parts =
        [
            FollowAsync(WorkloadSet.Path, (lists, state) => lists with { Sets = state }, stop),
            FollowAsync(Workload.Path, (lists, state) => lists with { Workloads = state }, stop),
            FollowAsync("api/v1/nodes", (lists, state) => lists with { Nodes = state }, stop),
            FollowAsync($"apis/coordination.k8s.io/v1/namespaces/{_leaseNamespace}/leases", (lists, state) => lists with { Leases = state }, stop),
            ObserveAsync(stop),
            .. Enumerable.Range(0, Workers).Select(_ => WorkAsync(stop)),
        ];
        var first = await Task.WhenAny(parts);
        await ended.CancelAsync();
        foreach (var part in parts) await part.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await first;
    }

    public void Dispose() => _queue.Dispose();

    private async Task FollowAsync(string path, Func<ClusterLists, ClusterState, ClusterLists> put, CancellationToken stop)
    {
        var reflector = new Reflector(_client, path, "", _time, Random.Shared.NextDouble, _loggers.CreateLogger<Reflector>());
        await foreach (var state in reflector.FollowAsync(stop))
        {
            lock (_lock) _lists = put(_lists, state);
            _changed.Raise();
        }
    }

    private async Task ObserveAsync(CancellationToken stop)
    {
        for (var listed = false; ;)
        {
            var changed = _changed.Next;
            ClusterLists lists;
            lock (_lock) lists = _lists;
            if (lists.AreListed)
            {
                foreach (var (key, trigger) in _facts.Apply(lists, _time.GetUtcNow())) _queue.Add(key, trigger);
                if (!listed) LogListed(_facts.Current.Sets.Count, _facts.Current.Workloads.Count, _facts.Current.Nodes.Count);
                listed = true;
            }
            await changed.WaitAsync(stop);
            await Task.Delay(Gather, _time, stop);
        }
    }

    private async Task WorkAsync(CancellationToken stop)
    {
        while (true)
        {
            using var lease = await _queue.TakeAsync(stop);
            _metrics.Waited(lease.Waited);
            using var span = Begin(lease);
            await PassAsync(lease);
            if (lease.HasFailed) span?.SetStatus(ActivityStatusCode.Error);
        }
    }

    private async Task PassAsync(WorkLease<WorkKey> lease)
    {
        try
        {
            await (lease.Key.IsSet ? _sets.RunAsync(lease, _facts.Current) : _workloads.RunAsync(lease, _facts.Current));
        }
        catch (OperationCanceledException) when (lease.Token.IsCancellationRequested)
        {
            lease.Again(TimeSpan.Zero);
        }
        catch (Exception e)
        {
            LogBug(e, lease.Key.Name);
            lease.Fail(Backoff.AfterFailure(lease.Attempt + 1, Random.Shared.NextDouble()));
        }
    }

    private static Activity? Begin(WorkLease<WorkKey> lease) => Spans.StartActivity("reconcile")?
        .SetTag("reconciler.kind", lease.Key.IsSet ? "set" : "workload").SetTag("reconciler.namespace", lease.Key.Name.Namespace)
        .SetTag(lease.Key.IsSet ? "reconciler.set" : "reconciler.workload", lease.Key.Name.Name).SetTag("reconciler.queue_wait_s", lease.Waited.TotalSeconds);

    [LoggerMessage(3801, LogLevel.Information, "{Sets} sets, {Workloads} workloads, {Nodes} nodes")]
    private partial void LogListed(int sets, int workloads, int nodes);

    [LoggerMessage(3802, LogLevel.Error, "{Name}: unexpected error")]
    private partial void LogBug(Exception error, ObjectName name);
}
