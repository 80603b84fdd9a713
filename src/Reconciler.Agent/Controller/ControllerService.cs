using Microsoft.Extensions.Logging;
using Reconciler.Agent.Commands.Output;
using Reconciler.Agent.Hosting;
using Reconciler.Agent.Http;
using Reconciler.Agent.Metrics;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Controller;

/// <summary>One candidate: stands for election, and runs the loop whenever it leads.</summary>
internal sealed partial class ControllerService(
    ClusterClient client, string leaseNamespace, ElectionOptions election, TimeProvider time, ILoggerFactory loggers, ILogger<ControllerService> logger, ListenAddress? address = null)
{
    private static readonly TimeSpan StuckAfter = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan UnansweredAfter = TimeSpan.FromSeconds(30);

    /// <summary>Returns when it is told to stop, the Lease given back.</summary>
    /// <exception cref="SettingException">The given address of health cannot be listened on.</exception>
    public async Task RunAsync(CancellationToken stop)
    {
        LogStarting(AgentService.Version, client.Server, election.Namespace, election.Name);
        var candidate = new LeaderElection(client, election, time, loggers.CreateLogger<LeaderElection>());
        using var metrics = new AgentMetrics(time);
        client.Answered = new ClusterMetrics(metrics.Meter).Add;
        var own = new ControllerMetrics(metrics.Meter);
        var routes = HealthRoutes.Of(_ => Task.FromResult(Stuck(candidate)), () => Waiting(candidate));
        routes.Add("/metrics", metrics.AnswerAsync);
        using var server = HttpServer.Open(Settings.MetricsAddress, address, routes, time, loggers.CreateLogger<HttpServer>());
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var serving = server.RunAsync(ended.Token);
        try
        {
            await candidate.RunAsync(leading => LeadAsync(own, leading), stop);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            LogStopped();
        }
        finally
        {
            await ended.CancelAsync();
            await serving.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private static string? Stuck(LeaderElection candidate) =>
        candidate.SilentFor is var silent && silent > StuckAfter ? $"the leader election is stuck since {Units.Age(silent)}" : null;

    /// <summary>A candidate that does not lead does its work, too.</summary>
    private static string? Waiting(LeaderElection candidate) => candidate.UnansweredFor switch
    {
        null => "the API server has not answered yet",
        { } silent when silent > UnansweredAfter => $"the API server has not answered for {Units.Age(silent)}",
        _ => null,
    };

    private async Task LeadAsync(ControllerMetrics metrics, CancellationToken leading)
    {
        using var loop = new ControllerLoop(client, leaseNamespace, time, metrics, loggers);
        metrics.Leads(loop);
        try
        {
            await loop.RunAsync(leading);
        }
        finally
        {
            metrics.Leads(null);
        }
    }

    [LoggerMessage(3701, LogLevel.Information, "reconciler {Version} controller of {Server}, Lease {Namespace}/{Name}")]
    private partial void LogStarting(string version, string server, string @namespace, string name);

    [LoggerMessage(3702, LogLevel.Information, "stopped; the Lease is given back")]
    private partial void LogStopped();
}
