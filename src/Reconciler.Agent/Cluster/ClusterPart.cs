using System.Diagnostics.Metrics;
using Microsoft.Extensions.Logging;
using Reconciler.Agent.Hosting;
using Reconciler.Agent.Metrics;
using Reconciler.Agent.Runtime;
using Reconciler.Agent.State;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Cluster;

/// <summary>The agent's side of a cluster: its source, and what it writes there (status, events, its Lease).</summary>
internal sealed partial class ClusterPart : IDisposable
{
    private const string PodNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
    private const string DefaultNamespace = "reconciler-system";

    private readonly NodeOptions _options;
    private readonly ClusterClient _client;
    private readonly TimeProvider _time;
    private readonly ILoggerFactory _loggers;
    private readonly ILogger _logger;
    private readonly Reflector _reflector;

    private ClusterPart(NodeOptions options, ClusterClient client, TimeProvider time, ILoggerFactory loggers)
    {
        (_options, _client, _time, _loggers, _logger) = (options, client, time, loggers, loggers.CreateLogger<ClusterPart>());
        _reflector = new Reflector(
            client, KubernetesSource.WorkloadsPath, KubernetesSource.Selector(options.NodeName), time, Random.Shared.NextDouble, loggers.CreateLogger<Reflector>());
        Source = new KubernetesSource(_reflector, Declarations.ManifestOptionsOf(options), time, loggers.CreateLogger<KubernetesSource>());
        if (options.AcceptDataLoss) Source.AcceptLoss();
    }

    public KubernetesSource Source { get; }

    public void Measure(Meter meter)
    {
        _client.Answered = new ClusterMetrics(meter).Add;
        NodeMetrics.Add(meter, () => _reflector.Silence);
    }

    /// <summary>Null when the options name no cluster.</summary>
    /// <exception cref="ClusterConfigException">There is no usable configuration.</exception>
    public static ClusterPart? Open(NodeOptions options, TimeProvider time, ILoggerFactory loggers) => !options.Kubernetes ? null : new ClusterPart(
        options,
        ClusterClient.Open(new ClusterOptions { Kubeconfig = options.Kubeconfig, Program = "reconciler-agent", Version = AgentService.Version }, time),
        time,
        loggers);

    public void Dispose() => _client.Dispose();

    /// <param name="sink">Its reports become status and events.</param>
    /// <param name="runtime">What is on the node.</param>
    /// <param name="pulls">Those under way.</param>
    /// <param name="stop">Ends it.</param>
    public async Task RunAsync(StateSink sink, IContainerRuntime runtime, Func<IReadOnlyList<PullProgress>> pulls, CancellationToken stop)
    {
        var identity = $"{_options.NodeName}_{AgentService.Version}_{Environment.ProcessId}";
        var lease = new AgentLease(_client, Source, LeaseNamespace(), _options.NodeName, identity, _time, _loggers.CreateLogger<AgentLease>());
        var recorder = new EventRecorder(_client, Source, _options.NodeName, _time, _loggers.CreateLogger<EventRecorder>());
        var writer = new StatusWriter(_client, Source, sink, runtime, pulls, _time, _loggers.CreateLogger<StatusWriter>());
        (sink.Begun, sink.Reported) = (recorder.Record, recorder.Record);
        try
        {
            await Task.WhenAll(KeepAsync("lease", lease.RunAsync, stop), KeepAsync("events", recorder.RunAsync, stop), KeepAsync("status", writer.RunAsync, stop));
        }
        finally
        {
            (sink.Begun, sink.Reported) = (null, null);
        }
    }

    /// <summary>A fault in what is told to the cluster must not end what is done on the node.</summary>
    private async Task KeepAsync(string what, Func<CancellationToken, Task> run, CancellationToken stop)
    {
        for (var failures = 0; ;)
        {
            try
            {
                await run(stop);
                return;
            }
            catch (Exception e) when (!stop.IsCancellationRequested)
            {
                LogBug(e, what);
            }
            await Task.Delay(Backoff.AfterFailure(++failures, Random.Shared.NextDouble()), _time, stop);
        }
    }

    private string LeaseNamespace() =>
        _options.LeaseNamespace ?? (_options.Kubeconfig is null && File.Exists(PodNamespace) ? File.ReadAllText(PodNamespace).Trim() : DefaultNamespace);

    [LoggerMessage(3301, LogLevel.Error, "Unexpected error in {What} for the cluster; it is begun again")]
    private partial void LogBug(Exception error, string what);
}
