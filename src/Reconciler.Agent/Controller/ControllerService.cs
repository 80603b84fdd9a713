using Microsoft.Extensions.Logging;
using Reconciler.Agent.Hosting;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Controller;

/// <summary>One candidate: stands for election, and runs the loop whenever it leads.</summary>
internal sealed partial class ControllerService(
    ClusterClient client, string leaseNamespace, ElectionOptions election, TimeProvider time, ILoggerFactory loggers, ILogger<ControllerService> logger)
{
    /// <summary>Returns when it is told to stop, the Lease given back.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        LogStarting(AgentService.Version, client.Server, election.Namespace, election.Name);
        try
        {
            await new LeaderElection(client, election, time, loggers.CreateLogger<LeaderElection>()).RunAsync(LeadAsync, stop);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            LogStopped();
        }
    }

    private async Task LeadAsync(CancellationToken leading)
    {
        using var loop = new ControllerLoop(client, leaseNamespace, time, loggers);
        await loop.RunAsync(leading);
    }

    [LoggerMessage(3701, LogLevel.Information, "reconciler {Version} controller of {Server}, Lease {Namespace}/{Name}")]
    private partial void LogStarting(string version, string server, string @namespace, string name);

    [LoggerMessage(3702, LogLevel.Information, "stopped; the Lease is given back")]
    private partial void LogStopped();
}
