using System.Diagnostics.Metrics;
using Reconciler.Agent.Http;
using Reconciler.Core.Engine;

namespace Reconciler.Agent.Metrics;

/// <summary>All figures of one agent, or of one controller.</summary>
internal sealed class AgentMetrics : IDisposable
{
    private readonly MetricStore _store;

    public AgentMetrics(TimeProvider time)
    {
        Meter = new Meter("Reconciler");
        _store = new MetricStore(Meter);
        ProcessMetrics.Add(Meter, time.GetUtcNow());
        Time = time;
    }

    /// <summary>Gets the instruments of the parts.</summary>
    public Meter Meter { get; }

    private TimeProvider Time { get; }

    /// <summary>Those of the loop; to be asked for once.</summary>
    public LoopMetrics OfLoop() => new(Meter, Time);

    /// <summary>Everything as Prometheus reads it.</summary>
    public ValueTask<HttpAnswer> AnswerAsync(HttpRequest request, CancellationToken stop) =>
        ValueTask.FromResult(new HttpAnswer(200, MetricStore.ContentType, _store.Write()));

    public void Dispose()
    {
        _store.Dispose();
        Meter.Dispose();
    }
}
