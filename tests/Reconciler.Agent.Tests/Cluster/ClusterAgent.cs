using Microsoft.Extensions.Logging;
using Reconciler.Agent.Cluster;
using Reconciler.Agent.Hosting;
using Reconciler.Agent.State;
using Reconciler.Core.Engine;
using Reconciler.Core.Ports;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Tests.Cluster;

/// <summary>The agent without containerd: its source, its loop, and all that it writes into the cluster.</summary>
internal sealed class ClusterAgent : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly ILoggerFactory _loggers;
    private readonly ClusterPart _part;
    private readonly StateSink _sink;
    private readonly ReconcileLoop _loop;
    private readonly Task _run;

    public ClusterAgent(NodeOptions options, IContainerRuntime runtime, TimeProvider time, TextWriter log)
    {
        _loggers = LoggerFactory.Create(builder => builder.SetMinimumLevel(LogLevel.Debug).AddProvider(new StderrLog(log, TimeProvider.System, LogLevel.Debug, false)));
        _part = ClusterPart.Open(options, time, _loggers)!;
        _sink = StateSink.Open(options.StateDir, new AgentProcess { Phase = "Running" }, time, _loggers.CreateLogger<StateSink>());
        _loop = new ReconcileLoop(runtime, _sink, time, new ReconcileOptions { ResyncInterval = TimeSpan.FromSeconds(2) }, _loggers.CreateLogger<ReconcileLoop>());
        _run = Task.WhenAll(_loop.RunAsync([_part.Source], _stop.Token), _part.RunAsync(_sink, runtime, () => [], _stop.Token));
    }

    public ClusterView View => _part.Source.View;

    public Task ThrowIfFailedAsync() => _run.IsFaulted ? _run : Task.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _run.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _loop.Dispose();
        await _sink.DisposeAsync();
        _part.Dispose();
        _loggers.Dispose();
        _stop.Dispose();
    }
}

/// <summary>A clock that is hours off, and for which minutes pass in less than a second where only the passing of time is asked for.</summary>
internal sealed class OddTime(TimeSpan offset) : TimeProvider
{
    private const int Haste = 10_000;

    private readonly long _began = System.GetTimestamp();

    public override DateTimeOffset GetUtcNow() => System.GetUtcNow() + offset;

    public override long GetTimestamp() => (System.GetTimestamp() - _began) * Haste;
}
