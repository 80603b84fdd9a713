using OpenTelemetry;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;
using Reconciler.Agent.Controller;
using Reconciler.Agent.Hosting;
using Reconciler.Containerd;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Tracing;

/// <summary>Sends spans to a collector (OTLP over HTTP, protobuf). Without the collector the newest spans are lost, and nothing waits.</summary>
internal sealed class TraceExport : IDisposable
{
    /// <summary>Every program with traces heeds it; our own settings go before it.</summary>
    private const string StandardVariable = "OTEL_EXPORTER_OTLP_ENDPOINT";

    private const int FlushLimitMs = 500;

    private readonly TracerProvider _provider;

    private TraceExport(Uri endpoint, string service, string node) => _provider = Sdk.CreateTracerProviderBuilder()
        .AddSource(Core.Engine.Tracing.SourceName, ContainerdClient.ActivitySourceName, ControllerLoop.ActivitySourceName, ClusterClient.ActivitySourceName)
        .ConfigureResource(resource => resource
            .AddService(service, serviceVersion: AgentService.Version, autoGenerateServiceInstanceId: false)
            .AddAttributes([new("host.name", node)]))
        .AddProcessor(new SpanQueue(endpoint))
        .Build();

    /// <param name="options">With the endpoint.</param>
    /// <param name="service">Name of this program.</param>
    /// <param name="variable">Looks up an environment variable.</param>
    /// <returns>Null where no endpoint is set: then no span is ever made.</returns>
    /// <exception cref="SettingException">The variable cannot be used.</exception>
    public static TraceExport? Start(NodeOptions options, string service, Func<string, string?> variable) =>
        (options.OtlpEndpoint ?? FromVariable(variable(StandardVariable))) is { } endpoint ? new TraceExport(endpoint, service, options.NodeName) : null;

    /// <summary>Sends what it has, within half a second.</summary>
    public void Dispose()
    {
        _provider.Shutdown(FlushLimitMs);
        _provider.Dispose();
    }

    private static Uri? FromVariable(string? value)
    {
        if (string.IsNullOrEmpty(value)) return null;
        try
        {
            return SettingValues.OtlpEndpoint(value);
        }
        catch (SettingException e)
        {
            throw new SettingException($"{StandardVariable}: \"{value}\" cannot be used; right is: {e.Message}");
        }
    }
}
