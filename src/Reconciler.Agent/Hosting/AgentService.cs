using System.Reflection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Reconciler.Agent.Cluster;
using Reconciler.Agent.Http;
using Reconciler.Agent.Logs;
using Reconciler.Agent.Metrics;
using Reconciler.Agent.Node;
using Reconciler.Agent.Page;
using Reconciler.Agent.Runtime;
using Reconciler.Agent.State;
using Reconciler.Containerd;
using Reconciler.Core.Engine;
using Reconciler.Core.Ports;

namespace Reconciler.Agent.Hosting;

/// <summary>The agent, wired from top to bottom. Stopping it leaves every container running.</summary>
internal sealed partial class AgentService(
    NodeOptions options, ServiceManager manager, TimeProvider time, ILoggerFactory loggers, IHostApplicationLifetime lifetime) : BackgroundService
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private static readonly TimeSpan ConnectAttempt = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(5);
    /// <summary>The process has 5 s in all.</summary>
    private static readonly TimeSpan DrainLimit = TimeSpan.FromSeconds(3);

    private static readonly TimeSpan ProgressPeriod = TimeSpan.FromSeconds(1);

    private readonly ILogger _logger = loggers.CreateLogger("Agent");
    private readonly AgentMetrics _metrics = new(time);
    private readonly NodeWindow _window = new(time);
    private volatile ReconcileLoop? _loop;

    /// <summary>Why the agent ended by itself; null = it was told to.</summary>
    public Exception? Failure { get; private set; }

    public static string Version { get; } =
        typeof(AgentService).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];

    public override void Dispose()
    {
        _metrics.Dispose();
        base.Dispose();
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var stopping = stoppingToken.Register(manager.Stopping);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken);
        var watched = manager.WatchAsync(TurnAsync, time, ended.Token);
        try
        {
            await RunAsync(stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            LogStopped();
        }
        catch (Exception e)
        {
            Failure = e; // the command says it and returns 1
        }
        finally
        {
            await ended.CancelAsync();
            await watched.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            lifetime.StopApplication();
        }
    }

    private async Task RunAsync(CancellationToken stop)
    {
        LogStarting(Version, options.NodeName, options.StateDir);
        if (options.EmbeddedContainerd && EmbeddedContainerd.Refusal(options.StateDir, options.HostRoot) is { } refusal) throw new SettingException(refusal);
        if (OciRuntimeCheck.Refusal(options) is { } missing) throw new SettingException(missing);
        PrepareStateDir();
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var health = new AgentHealth(TurnAsync, time);
        // Before anything is waited for: an agent that waits is alive and says for what.
        var routes = HealthRoutes.Of(health.StuckAsync, health.Waiting);
        routes.Add("/metrics", _metrics.AnswerAsync);
        using var server = HttpServer.Open(Settings.MetricsAddress, options.MetricsAddress, routes, time, loggers.CreateLogger<HttpServer>());
        using var page = HttpServer.Open(Settings.HttpAddress, options.HttpAddress, new PageFeed(_window, time).Routes(), time, loggers.CreateLogger<HttpServer>());
        await UntilOneEndsAsync(ended, server.RunAsync(ended.Token), page.RunAsync(ended.Token), ServeNodeAsync(health, ended.Token));
    }

    private async Task ServeNodeAsync(AgentHealth health, CancellationToken stop)
    {
        using var only = await InstanceLock.AcquireAsync(
            Path.Combine(options.StateDir, "agent.lock"), time, _logger, stop, holder => manager.Tell($"waiting: {holder} uses {options.StateDir}"));
        await using var sink = StateSink.Open(options.StateDir, Self(), time, loggers.CreateLogger<StateSink>());
        health.Show(sink);
        NodeMetrics.Add(_metrics.Meter, sink);
        _window.Show(sink);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var embedded = options.EmbeddedContainerd
            ? new EmbeddedContainerd(options.StateDir, options.HostRoot, time, loggers.CreateLogger<EmbeddedContainerd>()).RunAsync(ended.Token)
            : Task.Delay(Timeout.InfiniteTimeSpan, time, ended.Token);
        await UntilOneEndsAsync(ended, embedded, ReconcileAsync(sink, ended.Token));
    }

    /// <summary>One that ends takes the others with it, and its outcome is the outcome.</summary>
    private static async Task UntilOneEndsAsync(CancellationTokenSource ended, params Task[] parts)
    {
        var first = await Task.WhenAny(parts);
        await ended.CancelAsync();
        foreach (var part in parts) await part.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await first;
    }

    /// <summary>Done once the agent has come round. What it waits for before it reconciles, it asks for under deadlines.</summary>
    private Task TurnAsync(CancellationToken cancellation) => _loop?.TurnAsync(cancellation) ?? Task.CompletedTask;

    private async Task ReconcileAsync(StateSink sink, CancellationToken stop)
    {
        using var cluster = ClusterPart.Open(options, time, loggers); // a configuration that cannot be used is told before anything waits
        cluster?.Measure(_metrics.Meter);
        await using var client = await ConnectAsync(sink, stop);
        var server = await client.ServerAsync(stop);
        sink.SetPhase("WaitingForLock", "another agent serves this containerd and namespace");
        var path = InstanceLock.PathOf(options.HostRoot, server.Uuid, options.ContainerdNamespace);
        using var instance = await InstanceLock.AcquireAsync(
            path, time, _logger, stop, holder => manager.Tell($"waiting: {holder} serves this containerd and namespace"));

        var files = new LogFiles(options.LogDir, time, options.HostRoot);
        await using var runtime = new ContainerdRuntime(client, options, files, time, loggers.CreateLogger<ContainerdRuntime>()) { Metrics = new RuntimeMetrics(_metrics.Meter) };
        IReadOnlyList<IDesiredSource> declaring = [.. Declarations.FoldersOf(options, time, loggers), .. cluster is null ? [] : new IDesiredSource[] { cluster.Source }];
        IReadOnlyList<ReportedSource> sources = [.. declaring.Select(source => new ReportedSource(source, sink, loggers.CreateLogger<ReportedSource>()))];
        var work = new ReconcileOptions { ResyncInterval = options.ResyncInterval, StopLimit = DrainLimit, Metrics = _metrics.OfLoop() };
        using var loop = new ReconcileLoop(runtime, sink, time, work, loggers.CreateLogger<ReconcileLoop>());
        var cutter = new LogCutter(files, options, time, loggers.CreateLogger<LogCutter>()) { DiskWasShort = runtime.LookForBrokenLogs, Metrics = new LogMetrics(_metrics.Meter) };
        NodeMetrics.Add(_metrics.Meter, runtime, loop);
        NodeMetrics.Add(_metrics.Meter, sources);
        NodeMetrics.Add(_metrics.Meter, options.LogDir);

        _loop = loop;
        _window.Show(loop, runtime);
        sink.SetPhase("Running");
        LogReady(client.Options.Address, options.ContainerdNamespace);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(stop);
        await UntilOneEndsAsync(ended,
        [
            loop.RunAsync([.. sources], ended.Token),
            cutter.RunAsync(ended.Token),
            ShowPullsAsync(runtime, sink, ended.Token),
            HeapTrim.RunAsync(sink.Changed, HeapTrim.Collect, time, ended.Token),
            .. manager.IsPresent ? new[] { ServiceStatus.RunAsync(sink, manager, time, ended.Token) } : [],
            .. cluster is null ? [] : new[] { cluster.RunAsync(sink, runtime, runtime.Snapshot, ended.Token) },
        ]);
        stop.ThrowIfCancellationRequested();
    }

    /// <summary>Waits for ever; the log says so at first and then each minute.</summary>
    private async Task<ContainerdClient> ConnectAsync(StateSink sink, CancellationToken stop)
    {
        var address = NodeConnection.AddressOf(options);
        var calls = new CallMetrics(_metrics.Meter);
        var (pause, said) = (TimeSpan.FromMilliseconds(200), DateTimeOffset.MinValue);
        while (true)
        {
            try
            {
                var client = await ContainerdClient.ConnectAsync(NodeConnection.ClientOptions(options, ConnectAttempt, time, loggers.CreateLogger<ContainerdClient>(), calls.Add), stop);
                var version = await client.VersionAsync(stop);
                if (NodeConnection.TooOld(version.Version, address) is { } tooOld)
                {
                    await client.DisposeAsync();
                    throw new SettingException(tooOld);
                }
                LogConnected(version.Version, address);
                _window.Containerd = version.Version;
                return client;
            }
            catch (ContainerdException e)
            {
                sink.SetPhase("WaitingForContainerd", $"{address}: {e.Message}");
                manager.Tell($"waiting for containerd at {address}: {e.Message}");
                if (time.GetUtcNow() - said > TimeSpan.FromMinutes(1))
                {
                    LogWaiting(address, e.Message);
                    said = time.GetUtcNow();
                }
            }
            await Task.Delay(pause, time, stop);
            pause = pause * 2 < LongestPause ? pause * 2 : LongestPause;
        }
    }

    private async Task ShowPullsAsync(ContainerdRuntime runtime, StateSink sink, CancellationToken stop)
    {
        using var timer = new PeriodicTimer(ProgressPeriod, time);
        while (await timer.WaitForNextTickAsync(stop))
        {
            sink.SetPulls(PullState.Of(runtime.Snapshot()));
        }
    }

    private void PrepareStateDir()
    {
        try
        {
            Directory.CreateDirectory(options.StateDir, Private);
            File.SetUnixFileMode(options.StateDir, Private);
            var probe = Path.Combine(options.StateDir, ".probe");
            File.WriteAllText(probe, "");
            File.Delete(probe);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            var remedy = Environment.IsPrivilegedProcess ? "give --state-dir a folder on a disk that can be written" : "run as root";
            throw new SettingException($"{Settings.StateDir.Flag} {options.StateDir} cannot be written, {remedy}: {e.Message}");
        }
    }

    private AgentProcess Self() => new()
    {
        Version = Version,
        Pid = Environment.ProcessId,
        StartTicks = AgentLiveness.StartTicks(Environment.ProcessId) ?? 0,
        PidNamespace = AgentLiveness.PidNamespace(),
        StartedAt = time.GetUtcNow(),
        Node = options.NodeName,
        Manifests = options.Manifests,
        Kubernetes = options.Kubernetes,
        Phase = "Starting",
    };

    [LoggerMessage(1101, LogLevel.Information, "reconciler {Version} starts on node {Node}, state in {StateDir}")]
    private partial void LogStarting(string version, string node, string stateDir);

    [LoggerMessage(1102, LogLevel.Information, "connected to containerd {Version} at {Address}")]
    private partial void LogConnected(string version, string address);

    [LoggerMessage(1103, LogLevel.Warning, "waiting for containerd at {Address}: {Error}")]
    private partial void LogWaiting(string address, string error);

    [LoggerMessage(1104, LogLevel.Information, "READY: reconciling the containers of {Address}, namespace {Namespace}")]
    private partial void LogReady(string address, string @namespace);

    [LoggerMessage(1105, LogLevel.Information, "stopped; the containers run on")]
    private partial void LogStopped();
}
