using Microsoft.Extensions.Logging;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;

namespace Reconciler.Core.Engine;

/// <summary>
/// Keeps a node as declared: sources and the runtime name keys, and each key is observed, planned and acted on. One object runs once.
/// </summary>
public sealed partial class ReconcileLoop(
    IContainerRuntime runtime, IStatusSink status, TimeProvider time, ReconcileOptions options, ILogger<ReconcileLoop> logger)
    : IDisposable
{
    /// <summary>Passes in a row that act and do not get there; then it counts as a failure.</summary>
    private const int MaxPasses = 10;

    private readonly WorkQueue<ResourceKey> _queue = new(time);
    private readonly Executor _executor = new(runtime, new RuncGate(options.RuncSlots), options.Metrics);
    private readonly ConditionBook _book = new(status);
    private readonly TaskCompletionSource _listed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    /// <summary>A declaration and what it asks of the queue are one step: else a pass that works on the newest would be ended for it, and begin again.</summary>
    private readonly Lock _declaring = new();
    private DesiredStore _store = new([]);

    /// <summary>Runs until it is told to stop; containers stay as they are.</summary>
    /// <param name="sources">Who declares; folders win over <c>kubernetes</c>.</param>
    /// <param name="stop">Ends every pass within <see cref="ReconcileOptions.StopLimit"/>.</param>
    public async Task RunAsync(IReadOnlyList<IDesiredSource> sources, CancellationToken stop)
    {
        _store = new DesiredStore(sources.Select(source => source.Name));
        _book.Remember();
        Task[] work = [DispatchAsync(stop), FollowRuntimeAsync(stop), ResyncAsync(stop), .. sources.Select(source => FollowAsync(source, stop))];
        try
        {
            await Task.WhenAll(work);
        }
        catch (Exception) when (stop.IsCancellationRequested)
        {
            LogStopped();
        }
    }

    /// <summary>What the sources declare now.</summary>
    public DesiredState Desired => _store.Current;

    /// <summary>
    /// Done once the loop has come round; one that hangs never does. Before the first full list, which is asked for under deadlines
    /// again and again, no key is taken: until then it is done at once.
    /// </summary>
    public Task TurnAsync(CancellationToken cancellation) => _listed.Task.IsCompleted ? _queue.TurnAsync(cancellation) : Task.CompletedTask;

    /// <summary>Keys by what they wait for.</summary>
    public QueueDepth Queued => _queue.Depth;

    public void Dispose() => _queue.Dispose();

    /// <summary>Takes keys and works on each in its own task: a long pull or grace period holds up no other key.</summary>
    private async Task DispatchAsync(CancellationToken stop)
    {
        var passes = new HashSet<Task>();
        try
        {
            await _listed.Task.WaitAsync(stop);
            while (true)
            {
                var lease = await _queue.TakeAsync(stop);
                passes.RemoveWhere(pass => pass.IsCompleted);
                passes.Add(ReconcileAsync(lease, stop));
            }
        }
        finally
        {
            await EndAsync(passes);
        }
    }

    private async Task EndAsync(HashSet<Task> passes)
    {
        try
        {
            await Task.WhenAll(passes).WaitAsync(options.StopLimit, time);
        }
        catch (TimeoutException)
        {
            LogAbandoned(passes.Count(pass => !pass.IsCompleted));
        }
    }

    private async Task ReconcileAsync(WorkLease<ResourceKey> lease, CancellationToken stop)
    {
        using (lease)
        using (var pass = options.Metrics.Begin(lease.Key, lease.Waited))
        {
            try
            {
                DesiredState desired;
                lock (_declaring) desired = _store.Current;
                var actual = await runtime.ObserveAsync(lease.Key, desired.ImageOf(lease.Key), lease.Token);
                var planned = NodePlanner.PlanOne(desired, lease.Key, actual, time.GetUtcNow());
                status.Begin(planned);
                var execution = await _executor.RunAsync(planned.Plan, lease.Token, stop);
                if (HasRemoved(planned, execution)) await CleanAsync(stop);
                pass.End(execution);
                Settle(lease, planned, execution);
            }
            catch (RuntimeException e)
            {
                var failed = new Execution(Executor.Failed(e), []);
                pass.End(failed);
                Settle(lease, null, failed);
            }
            catch (OperationCanceledException) when (lease.Token.IsCancellationRequested)
            {
                lease.Again(TimeSpan.Zero);
            }
            catch (Exception e)
            {
                LogBug(e, lease.Key);
                var failed = new Execution(new Outcome.Retry(new Condition(false, ConditionReason.InternalError, e.Message)), []);
                pass.End(failed);
                Settle(lease, null, failed);
            }
        }
    }

    /// <summary>Reports the outcome and decides when the key is looked at again.</summary>
    private void Settle(WorkLease<ResourceKey> lease, PlannedKey? planned, Execution execution)
    {
        switch (execution.Outcome)
        {
            case Outcome.Done when planned is { Plan.Actions.Count: 0 }:
                Report(lease.Key, planned, execution, planned.Plan.Condition, 0, planned.Plan.LookAgainAt);
                lease.Rest(planned.Plan.LookAgainAt - time.GetUtcNow());
                break;
            case Outcome.Done { Stale: { } stale } when lease.Key.Kind == ResourceKind.Image:
                Fail(lease, planned, execution, new Condition(true, ConditionReason.ImageStale, stale));
                break;
            case Outcome.Done or Outcome.Again when lease.Passes >= MaxPasses:
                var why = execution.Outcome is Outcome.Again again ? again.Why : planned?.Plan.Condition.Message ?? "";
                Fail(lease, planned, execution, new Condition(false, ConditionReason.NotConverging, why));
                break;
            case Outcome.Done done:
                _book.NoteStale(lease.Key, execution, done.Stale);
                Report(lease.Key, planned, execution, planned!.Plan.Condition, lease.Attempt, planned.Plan.LookAgainAt);
                lease.Again(TimeSpan.Zero);
                break;
            case Outcome.Again:
                lease.Again(TimeSpan.FromMilliseconds(20 * lease.Passes));
                break;
            case Outcome.Unavailable unavailable:
                var wait = Backoff.WhileUnavailable(lease.Waits + 1);
                Report(lease.Key, planned, execution, unavailable.Condition, lease.Attempt, time.GetUtcNow() + wait, failed: true);
                lease.Wait(wait);
                break;
            case Outcome.Retry retry:
                Fail(lease, planned, execution, retry.Condition);
                break;
            case Outcome.Stuck stuck:
                Fail(lease, planned, execution, stuck.Condition);
                break;
        }
    }

    private void Fail(WorkLease<ResourceKey> lease, PlannedKey? planned, Execution execution, Condition condition)
    {
        var attempt = lease.Attempt + 1;
        var wait = Backoff.AfterFailure(attempt, options.Jitter());
        LogFailed(lease.Key, attempt, condition.Reason, condition.Message, wait);
        Report(lease.Key, planned, execution, condition, attempt, time.GetUtcNow() + wait, failed: true);
        lease.Fail(wait);
    }

    private void Report(
        ResourceKey key, PlannedKey? planned, Execution execution, Condition condition, int attempt, DateTimeOffset? nextTry, bool failed = false)
    {
        if (planned is { Wish: Wish.NotDeclared, Actual: { Containers.Count: 0, Image: null } }) _book.Forget(key);
        else _book.Report(new StatusReport(key, condition, execution.Actions, attempt, nextTry, time.GetUtcNow(), HashOf(key), failed), planned?.Wish);
    }

    private string HashOf(ResourceKey key) => (_store.Current.Declared(key) as ContainerSpec)?.Hash ?? "";

    [LoggerMessage(1, LogLevel.Information, "Stopped; containers stay as they are")]
    private partial void LogStopped();

    [LoggerMessage(2, LogLevel.Warning, "Stopping: {Count} passes did not end in time; the next start goes on from what they leave")]
    private partial void LogAbandoned(int count);

    [LoggerMessage(3, LogLevel.Error, "{Key}: unexpected error")]
    private partial void LogBug(Exception error, ResourceKey key);

    [LoggerMessage(4, LogLevel.Debug, "{Key}: attempt {Attempt} failed, {Reason}: {Message}; next try in {Wait}")]
    private partial void LogFailed(ResourceKey key, int attempt, string reason, string message, TimeSpan wait);
}
