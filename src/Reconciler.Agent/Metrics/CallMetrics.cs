using System.Diagnostics.Metrics;
using Reconciler.Containerd;

namespace Reconciler.Agent.Metrics;

/// <summary>The calls to containerd.</summary>
internal sealed class CallMetrics
{
    private readonly Counter<long> _calls;
    private readonly Histogram<double> _seconds;
    private volatile bool _answers;

    public CallMetrics(Meter meter)
    {
        _calls = meter.CreateCounter<long>("reconciler_containerd_calls_total", null, "Unary calls to containerd, by method and status code of gRPC.");
        _seconds = meter.CreateHistogram("reconciler_containerd_call_duration_seconds", "s", "Time of a unary call to containerd.", null, Buckets.Calls);
        meter.CreateObservableGauge(
            "reconciler_containerd_up", () => _answers ? 1L : 0, null, "1 if containerd answered the last call, 0 if it did not or was never reached. A call is made at least once per resync.");
    }

    public void Add(EndedCall call)
    {
        var method = new KeyValuePair<string, object?>("method", call.Method);
        _calls.Add(1, method, new("code", call.Status));
        _seconds.Record(call.Duration.TotalSeconds, method);
        // A cancelled call says nothing about the daemon.
        if (call.Status != "Cancelled") _answers = call.Status is not ("Unavailable" or "DeadlineExceeded");
    }
}
