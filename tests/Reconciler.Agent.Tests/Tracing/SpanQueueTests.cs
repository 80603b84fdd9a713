using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Text;
using Reconciler.Agent.Hosting;
using Reconciler.Agent.Http;
using Reconciler.Agent.Metrics;
using Reconciler.Agent.Tracing;
using Reconciler.Containerd;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.Tracing;

/// <summary>What waits for a collector that takes nothing. Loops of other tests may add spans of theirs meanwhile: there may be more, never fewer.</summary>
public sealed class SpanQueueTests
{
    private const int Made = 3 * SpanQueue.Room;

    [Fact]
    public void Without_a_collector_no_more_spans_are_kept_than_there_is_room_for_and_the_others_are_counted()
    {
        using var source = new ActivitySource(ContainerdClient.ActivitySourceName);
        using var listener = new TcpListener(IPAddress.Loopback, 0); // takes connections, and nobody ever reads from them
        listener.Start();
        var before = SpanQueue.Dropped;
        using var traces = TraceExport.Start(new NodeOptions { NodeName = "n", OtlpEndpoint = SettingValues.OtlpEndpoint($"http://{listener.LocalEndpoint}") }, "test", _ => null);

        var spans = Make(source);

        Assert.InRange(SpanQueue.Dropped - before, Made - SpanQueue.Room, long.MaxValue);
        GC.Collect();
        Assert.InRange(spans.Count(span => span.IsAlive), 0, SpanQueue.Room + Made / 10); // a few may stand in registers and caches
    }

    [Fact]
    public async Task What_a_collector_refuses_is_counted_too()
    {
        using var source = new ActivitySource(ContainerdClient.ActivitySourceName);
        var before = SpanQueue.Dropped;
        using (TraceExport.Start(new NodeOptions { NodeName = "n" }, "test", name => name == "OTEL_EXPORTER_OTLP_ENDPOINT" ? "http://127.0.0.1:1" : null))
        {
            source.StartActivity("refused")!.Dispose();
            await Eventually.UntilAsync(() => SpanQueue.Dropped > before, "the span is given up");
        }
        using var metrics = new AgentMetrics(TimeProvider.System);
        var answer = await metrics.AnswerAsync(new HttpRequest("GET", "/metrics", "", new Dictionary<string, string>()), TestContext.Current.CancellationToken);
        Assert.Contains("\nreconciler_trace_spans_dropped_total ", Encoding.UTF8.GetString(answer.Body.Span), StringComparison.Ordinal);
    }

    /// <summary>In a frame of its own, which keeps nothing alive.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static List<WeakReference> Make(ActivitySource source)
    {
        var spans = new List<WeakReference>(Made);
        for (var i = 0; i < Made; i++)
        {
            using var span = source.StartActivity("one of many")!;
            spans.Add(new WeakReference(span));
        }
        return spans;
    }
}
