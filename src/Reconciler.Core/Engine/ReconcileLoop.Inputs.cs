using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;

namespace Reconciler.Core.Engine;

/// <summary>What puts keys into the queue: sources, events, and full lists.</summary>
public sealed partial class ReconcileLoop
{
    /// <summary>At most one list is waited for: it answers everyone who asked before it began.</summary>
    private readonly Channel<bool> _lists = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    private int _recoverWanted = 1;

    private async Task FollowAsync(IDesiredSource source, CancellationToken stop)
    {
        for (var failures = 0; ;)
        {
            try
            {
                await foreach (var state in source.WatchAsync(stop))
                {
                    failures = 0;
                    Apply(state);
                }
                LogSourceEnded(source.Name);
            }
            catch (Exception e) when (!stop.IsCancellationRequested)
            {
                LogSourceFailed(e, source.Name);
            }
            await Task.Delay(Backoff.AfterFailure(++failures, options.Jitter()), time, stop);
        }
    }

    private void Apply(SourceState state)
    {
        DesiredChange change;
        lock (_declaring)
        {
            change = _store.Apply(state);
            foreach (var key in change.Keys)
            {
                if (!Restore(key)) _queue.Add(key, Trigger.Declared);
            }
        }
        options.Metrics.Declared(state.Source, state.NoticedAt);
        LogApplied(state.Source, state.Resources.Count, change.Keys.Count, state.Synced);
        if (change.Relist) _lists.Writer.TryWrite(true);
    }

    private async Task FollowRuntimeAsync(CancellationToken stop)
    {
        for (var failures = 0; ;)
        {
            try
            {
                await foreach (var happened in runtime.EventsAsync(stop))
                {
                    failures = 0;
                    Handle(happened);
                }
                LogEventsEnded(null);
            }
            catch (Exception e) when (!stop.IsCancellationRequested)
            {
                LogEventsEnded(e);
            }
            await Task.Delay(Backoff.WhileUnavailable(++failures), time, stop);
            Handle(new RuntimeEvent.Gap("the event stream ended"));
        }
    }

    private void Handle(RuntimeEvent happened)
    {
        switch (happened)
        {
            case RuntimeEvent.Changed changed:
                _queue.Add(changed.Key, changed.Exit ? Trigger.Exit : Trigger.Hint);
                break;
            case RuntimeEvent.Gap gap:
                LogGap(gap.Reason);
                options.Metrics.Gap();
                Volatile.Write(ref _recoverWanted, 1);
                _lists.Writer.TryWrite(true);
                break;
        }
    }

    private async Task ResyncAsync(CancellationToken stop)
    {
        for (var failures = 0; ;)
        {
            _lists.Reader.TryRead(out _);
            var recover = Interlocked.Exchange(ref _recoverWanted, 0) == 1;
            var began = options.Metrics.Now;
            try
            {
                if (recover) await runtime.RecoverAsync(stop);
                await ListAsync(stop);
                options.Metrics.Listed(began, done: true);
                failures = 0;
                _listed.TrySetResult();
                await NextListAsync(stop);
            }
            catch (Exception e) when (!stop.IsCancellationRequested)
            {
                if (recover) Volatile.Write(ref _recoverWanted, 1);
                var wait = Backoff.WhileUnavailable(++failures);
                options.Metrics.Listed(began, done: false);
                LogListFailed(e is RuntimeException ? null : e, e.Message, wait);
                await Task.Delay(wait, time, stop);
            }
        }
    }

    private async Task ListAsync(CancellationToken stop)
    {
        var node = await runtime.ListAsync(stop);
        var desired = _store.Current;
        var now = time.GetUtcNow();
        var keys = NodePlanner.PlanAll(desired, node, now);
        foreach (var planned in keys) Schedule(planned, now);
        // Before all sources were read, what is known but not there may still turn out to be declared.
        if (desired.IsSynced) foreach (var key in status.Known.Except(keys.Select(planned => planned.Key))) _queue.Add(key, Trigger.Hint);
        await CleanAsync(stop);
    }

    /// <summary>Only what differs from the declaration, or from what was last reported, is worked on.</summary>
    private void Schedule(PlannedKey planned, DateTimeOffset now)
    {
        if (planned.Wish is not Wish.Doubt && Restore(planned.Key)) return;
        if (planned.Plan.Actions.Count > 0 || !_book.IsReported(planned)) _queue.Add(planned.Key, Trigger.Hint);
        else if (planned.Plan.LookAgainAt is { } at) _queue.Add(planned.Key, Trigger.Hint, at > now ? at - now : TimeSpan.Zero);
    }

    /// <summary>Once per key, as soon as its wish is known: goes on with the backoff in which an earlier run of the agent left it.</summary>
    private bool Restore(ResourceKey key)
    {
        if (_book.TakeMemory(key) is not { } memory || memory.SpecHash != HashOf(key)) return false;
        var wait = memory.NextTry - time.GetUtcNow();
        if (memory.Attempt <= 0 || wait is not { } delay || delay <= TimeSpan.Zero) return false;
        _queue.Restore(key, memory.Attempt, delay < Backoff.Longest ? delay : Backoff.Longest);
        return true;
    }

    private async Task NextListAsync(CancellationToken stop)
    {
        using var interval = new CancellationTokenSource(options.ResyncInterval, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(interval.Token, stop);
        try
        {
            await _lists.Reader.ReadAsync(either.Token);
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            // The interval is over.
        }
    }

    private static bool HasRemoved(PlannedKey planned, Execution execution) =>
        planned.Wish is Wish.NotDeclared && execution.Actions.Any(action => action is NodeAction.DeleteContainer);

    private async Task CleanAsync(CancellationToken stop)
    {
        if (_store.Current is not { IsSettled: true } desired) return;
        try
        {
            await runtime.CleanWorkloadsAsync(desired.Containers, stop);
        }
        catch (RuntimeException e)
        {
            LogCleanFailed(e.Message);
        }
    }

    [LoggerMessage(10, LogLevel.Debug, "{Source}: {Declared} declared, {Changed} changed, synced: {Synced}")]
    private partial void LogApplied(string source, int declared, int changed, bool synced);

    [LoggerMessage(11, LogLevel.Error, "{Source}: stopped watching by itself; it is watched again")]
    private partial void LogSourceEnded(string source);

    [LoggerMessage(12, LogLevel.Error, "{Source}: failed; it is watched again")]
    private partial void LogSourceFailed(Exception error, string source);

    [LoggerMessage(13, LogLevel.Warning, "The runtime's events ended; they are followed again")]
    private partial void LogEventsEnded(Exception? error);

    [LoggerMessage(14, LogLevel.Information, "Listing everything ({Reason})")]
    private partial void LogGap(string reason);

    [LoggerMessage(15, LogLevel.Warning, "The runtime cannot be listed: {Message}; next try in {Wait}")]
    private partial void LogListFailed(Exception? error, string message, TimeSpan wait);

    [LoggerMessage(16, LogLevel.Warning, "What removed workloads left could not be cleaned: {Message}; tried again with the next list")]
    private partial void LogCleanFailed(string message);
}
