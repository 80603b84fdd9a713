using System.Diagnostics.Metrics;
using Reconciler.Agent.Controller;

namespace Reconciler.Agent.Metrics;

/// <summary>What a controller looks after while it leads.</summary>
internal sealed class ControllerMetrics
{
    private static readonly InstrumentAdvice<double> Seconds = new() { HistogramBucketBoundaries = [0.005, 0.025, 0.1, 0.5, 1, 5, 30, 120] };

    private readonly Histogram<double> _queueSeconds;
    private volatile ControllerLoop? _loop;

    public ControllerMetrics(Meter meter)
    {
        meter.CreateObservableGauge("reconciler_leader", () => _loop is null ? 0L : 1, null, "1 if this controller leads, 0 if it waits for another one's end.");
        meter.CreateObservableGauge("reconciler_controller_sets", () => Count(loop => loop.Facts.Sets.Count), null, "NodeWorkloadSets in the cluster, as the leader sees them.");
        meter.CreateObservableGauge("reconciler_controller_workloads", () => Count(loop => loop.Facts.Workloads.Count), null, "NodeWorkloads in the cluster, as the leader sees them.");
        meter.CreateObservableGauge("reconciler_controller_nodes", () => Count(loop => loop.Facts.Nodes.Count), null, "Nodes in the cluster, as the leader sees them.");
        meter.CreateObservableGauge("reconciler_queue_depth", () => _loop is { } loop ? NodeMetrics.Depths(loop.Queued) : [], null, NodeMetrics.QueueHelp);
        _queueSeconds = meter.CreateHistogram("reconciler_queue_wait_seconds", "s", Core.Engine.LoopMetrics.QueueWaitHelp, null, Seconds);
    }

    /// <param name="loop">What runs while it leads; null = it does not.</param>
    public void Leads(ControllerLoop? loop) => _loop = loop;

    public void Waited(TimeSpan time) => _queueSeconds.Record(time.TotalSeconds);

    /// <summary>Nothing, unless it leads.</summary>
    private IEnumerable<Measurement<long>> Count(Func<ControllerLoop, int> count) => _loop is { } loop ? [new Measurement<long>(count(loop))] : [];
}
