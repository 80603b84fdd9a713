using System.Diagnostics;
using System.Diagnostics.Metrics;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;

namespace Reconciler.Core.Engine;

/// <summary>What the loop counts and times. Names are Prometheus' own, labels are few and bounded.</summary>
public sealed class LoopMetrics
{
    public const string QueueWaitHelp = "Time from when a key was due to when a pass over it began.";

    private static readonly string[] Outcomes = ["converged", "acted", "again", "superseded", "unavailable", "failed", "stuck"];
    private static readonly string[] Kinds = [Name(ResourceKind.Container), Name(ResourceKind.Image)];

    private static readonly InstrumentAdvice<double> Seconds = new()
    {
        HistogramBucketBoundaries = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
    };

    /// <summary>For a loop whose figures nobody reads. Below what its constructor reads.</summary>
    public static readonly LoopMetrics Unheard = new(new Meter("Reconciler.Unheard"), TimeProvider.System);

    private readonly TimeProvider _time;
    private readonly Counter<long> _reconciles;
    private readonly Histogram<double> _reconcileSeconds;
    private readonly Histogram<double> _queueSeconds;
    private readonly Counter<long> _actions;
    private readonly Histogram<double> _actionSeconds;
    private readonly Counter<long> _resyncs;
    private readonly Histogram<double> _resyncSeconds;
    private readonly Counter<long> _gaps;
    private readonly Histogram<double> _sourceLag;

    /// <param name="meter">Gets the instruments; they go with it.</param>
    /// <param name="time">Clock of the durations.</param>
    public LoopMetrics(Meter meter, TimeProvider time)
    {
        _time = time;
        _reconciles = meter.CreateCounter<long>("reconciler_reconciles_total", null, "Passes over a key, by what it is and how they ended.");
        _reconcileSeconds = meter.CreateHistogram("reconciler_reconcile_duration_seconds", "s", "Time of a pass over a key, its actions included.", null, Seconds);
        _queueSeconds = meter.CreateHistogram("reconciler_queue_wait_seconds", "s", QueueWaitHelp, null, Seconds);
        _actions = meter.CreateCounter<long>("reconciler_actions_total", null, "Actions carried out on the node, by kind and outcome.");
        _actionSeconds = meter.CreateHistogram("reconciler_action_duration_seconds", "s", "Time of an action, the wait for a slot of runc work included.", null, Seconds);
        _resyncs = meter.CreateCounter<long>("reconciler_resyncs_total", null, "Full lists of the node, by outcome.");
        _resyncSeconds = meter.CreateHistogram("reconciler_resync_duration_seconds", "s", "Time of a full list, its planning included.", null, Seconds);
        _gaps = meter.CreateCounter<long>("reconciler_event_gaps_total", null, "Times that events of the runtime may have been lost; the start of each subscription is one.");
        _sourceLag = meter.CreateHistogram("reconciler_source_lag_seconds", "s", "Time from when a source noticed a change to when it was declared.", null, Seconds);
        foreach (var kind in Kinds)
            foreach (var outcome in Outcomes) _reconciles.Add(0, [new("kind", kind), new("outcome", outcome)]);
        foreach (var outcome in new[] { "done", "failed" }) _resyncs.Add(0, new KeyValuePair<string, object?>("outcome", outcome));
        _gaps.Add(0);
    }

    internal static string Name(ResourceKind kind) => kind == ResourceKind.Image ? "image" : "container";

    internal static string Name(NodeAction action) => action switch
    {
        NodeAction.PullImage => "PullImage",
        NodeAction.CreateContainer => "CreateContainer",
        NodeAction.StopContainer => "StopContainer",
        NodeAction.DeleteContainer => "DeleteContainer",
        NodeAction.RecordExit => "RecordExit",
        NodeAction.AdoptContainer => "AdoptContainer",
        NodeAction.RemoveImage => "RemoveImage",
        NodeAction.MarkImage => "MarkImage",
        _ => throw new UnreachableException($"no name for {action}"),
    };

    internal Pass Begin(ResourceKey key, TimeSpan waited)
    {
        _queueSeconds.Record(waited.TotalSeconds);
        return new Pass(this, key, waited);
    }

    internal Step Begin(NodeAction action) => new(this, action);

    internal void Gap() => _gaps.Add(1);

    /// <param name="source">Its name.</param>
    /// <param name="noticedAt">Null = not known.</param>
    internal void Declared(string source, DateTimeOffset? noticedAt)
    {
        if (noticedAt is not { } noticed) return;
        var lag = _time.GetUtcNow() - noticed;
        _sourceLag.Record(Math.Max(0, lag.TotalSeconds), new KeyValuePair<string, object?>("source", source));
    }

    internal long Now => _time.GetTimestamp();

    internal void Listed(long began, bool done)
    {
        _resyncs.Add(1, new KeyValuePair<string, object?>("outcome", done ? "done" : "failed"));
        if (done) _resyncSeconds.Record(SecondsSince(began));
    }

    private double SecondsSince(long began) => _time.GetElapsedTime(began).TotalSeconds;

    /// <summary>One pass over a key, from its lease to its outcome.</summary>
    internal sealed class Pass(LoopMetrics metrics, ResourceKey key, TimeSpan waited) : IDisposable
    {
        private readonly long _began = metrics.Now;
        private readonly Activity? _span = Tracing.Begin(key, waited);
        private string _outcome = "superseded";

        public void End(Execution execution)
        {
            var failure = execution.Outcome switch
            {
                Outcome.Unavailable unavailable => unavailable.Condition.Reason,
                Outcome.Retry retry => retry.Condition.Reason,
                Outcome.Stuck stuck => stuck.Condition.Reason,
                _ => null,
            };
            _outcome = execution.Outcome switch
            {
                Outcome.Done when execution.Actions.Count == 0 => "converged",
                Outcome.Done => "acted",
                Outcome.Again => "again",
                Outcome.Unavailable => "unavailable",
                Outcome.Retry => "failed",
                Outcome.Stuck => "stuck",
                _ => throw new UnreachableException($"no name for {execution.Outcome}"),
            };
            _span?.SetTag("reconciler.actions", execution.Actions.Count);
            if (failure is not null) _span?.SetStatus(ActivityStatusCode.Error, failure);
        }

        public void Dispose()
        {
            var kind = new KeyValuePair<string, object?>("kind", Name(key.Kind));
            metrics._reconciles.Add(1, kind, new("outcome", _outcome));
            metrics._reconcileSeconds.Record(metrics.SecondsSince(_began), kind);
            _span?.SetTag("reconciler.outcome", _outcome);
            _span?.Dispose();
        }
    }

    /// <summary>One action, from its turn to its outcome.</summary>
    internal sealed class Step(LoopMetrics metrics, NodeAction action) : IDisposable
    {
        private readonly long _began = metrics.Now;
        private readonly Activity? _span = Tracing.Begin(action);
        private string _outcome = "superseded";

        public void Done() => _outcome = "done";

        /// <param name="reason">The runtime's word.</param>
        public void Fail(string reason)
        {
            _outcome = "failed";
            _span?.SetStatus(ActivityStatusCode.Error, reason);
        }

        public void Dispose()
        {
            var name = new KeyValuePair<string, object?>("action", Name(action));
            metrics._actions.Add(1, name, new("outcome", _outcome));
            metrics._actionSeconds.Record(metrics.SecondsSince(_began), name);
            _span?.SetTag("reconciler.outcome", _outcome);
            _span?.Dispose();
        }
    }
}
