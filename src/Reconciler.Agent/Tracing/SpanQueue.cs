using System.Diagnostics;
using OpenTelemetry;
using OpenTelemetry.Exporter;

namespace Reconciler.Agent.Tracing;

/// <summary>
/// Spans on their way to the collector. The SDK's own queue tells nobody what it loses; so no more are let into it than it has room for, and those that
/// were turned away or could not be delivered are counted.
/// </summary>
internal sealed class SpanQueue : BatchActivityExportProcessor
{
    /// <summary>Spans that wait or are being sent, at most.</summary>
    public const int Room = 2048;

    private const int Batch = 512;
    private const int PeriodMs = 2000;
    private const int RequestLimitMs = 5000;

    private static long _dropped;

    private readonly Sender _sender;

    /// <param name="endpoint">The path included.</param>
    public SpanQueue(Uri endpoint)
        : this(new Sender(new OtlpExporterOptions { Endpoint = endpoint, Protocol = OtlpExportProtocol.HttpProtobuf, TimeoutMilliseconds = RequestLimitMs }))
    {
    }

    private SpanQueue(Sender sender)
        : base(sender, Room, PeriodMs, RequestLimitMs, Batch) => _sender = sender;

    /// <summary>Spans of this process that never reached a collector.</summary>
    public static long Dropped => Interlocked.Read(ref _dropped);

    public override void OnEnd(Activity data)
    {
        if (!data.Recorded) return;
        if (_sender.TryHold()) base.OnEnd(data);
        else Interlocked.Increment(ref _dropped);
    }

    private sealed class Sender(OtlpExporterOptions options) : OtlpTraceExporter(options)
    {
        private int _held;

        public bool TryHold()
        {
            if (Interlocked.Increment(ref _held) <= Room) return true;
            Interlocked.Decrement(ref _held);
            return false;
        }

        public override ExportResult Export(in Batch<Activity> activityBatch)
        {
            var count = (int)activityBatch.Count;
            var result = base.Export(activityBatch);
            if (result != ExportResult.Success) Interlocked.Add(ref _dropped, count);
            Interlocked.Add(ref _held, -count);
            return result;
        }
    }
}
