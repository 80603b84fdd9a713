using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;
using Reconciler.Agent.Hosting;
using Reconciler.Containerd;

namespace Reconciler.Agent.Tracing;

/// <summary>
/// Sends spans to a collector (OTLP over HTTP, protobuf). A queue of bounded length stands between: without the collector the newest spans are lost, and
/// nothing waits.
/// </summary>
internal sealed class TraceExport : IDisposable
{
    private const int FlushLimitMs = 500;

    private const int RequestLimitMs = 5000;

    private readonly TracerProvider _provider;

    private TraceExport(Uri endpoint, string node) => _provider = Sdk.CreateTracerProviderBuilder()
        .AddSource(Core.Engine.Tracing.SourceName, ContainerdClient.ActivitySourceName)
        .ConfigureResource(resource => resource
            .AddService("reconciler-agent", serviceVersion: AgentService.Version, autoGenerateServiceInstanceId: false)
            .AddAttributes([new("host.name", node)]))
        .AddOtlpExporter(exporter =>
        {
            exporter.Endpoint = endpoint;
            exporter.Protocol = OtlpExportProtocol.HttpProtobuf;
            exporter.TimeoutMilliseconds = RequestLimitMs;
            exporter.BatchExportProcessorOptions = new BatchExportActivityProcessorOptions
            {
                MaxQueueSize = 2048, MaxExportBatchSize = 512, ScheduledDelayMilliseconds = 2000, ExporterTimeoutMilliseconds = RequestLimitMs,
            };
        })
        .Build();

    /// <summary>Null where no endpoint is set: then no span is ever made.</summary>
    public static TraceExport? Start(NodeOptions options) => options.OtlpEndpoint is { } endpoint ? new TraceExport(endpoint, options.NodeName) : null;

    /// <summary>Sends what it has, within half a second.</summary>
    public void Dispose()
    {
        _provider.Shutdown(FlushLimitMs);
        _provider.Dispose();
    }
}
