using System.CommandLine;
using Microsoft.Extensions.Logging;
using Reconciler.Agent.Controller;
using Reconciler.Agent.Hosting;
using Reconciler.Agent.Tracing;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Commands;

/// <summary><c>reconciler controller</c>: spreads NodeWorkloadSets over the nodes of a cluster.</summary>
internal static class ControllerCommand
{
    private const string PodNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
    private const string DefaultNamespace = "reconciler-system";

    public static Command Build(CliConsole console)
    {
        var command = new ExampleCommand(
            "controller",
            "Make one NodeWorkload per matching node of each NodeWorkloadSet in a cluster.",
            "reconciler controller    # in a pod, with its service account",
            "reconciler controller --kubeconfig ~/.kube/config --log-level debug",
            "reconciler controller --leader-election-namespace kube-system")
        {
            Notes = "Several may run: one leads and acts, the others take over within 20 s when it dies, at once when it is stopped.",
        };
        var settings = new SettingOptions(command, Settings.Controller, console);
        command.SetAction((parsed, cancellation) => RunAsync(settings.Read(parsed), console, cancellation));
        return command;
    }

    private static async Task<int> RunAsync(NodeOptions options, CliConsole console, CancellationToken cancellation)
    {
        using var loggers = LoggerFactory.Create(builder => builder
            .SetMinimumLevel(options.LogLevel)
            .AddProvider(new StderrLog(console.Error, console.Time, options.LogLevel, console.Color, options.LogFormat)));
        using var traces = TraceExport.Start(options, "reconciler-controller", console.Variable);
        using var client = Open(options, console.Time);
        var leases = options.LeaseNamespace ?? (options.Kubeconfig is null ? File.ReadAllText(PodNamespace).Trim() : DefaultNamespace);
        var election = new ElectionOptions
        {
            Namespace = options.LeaderElectionNamespace ?? leases,
            Identity = $"{Environment.MachineName}_{Guid.NewGuid():N}",
        };
        var logger = loggers.CreateLogger<ControllerService>();
        await new ControllerService(client, leases, election, console.Time, loggers, logger, options.MetricsAddress).RunAsync(cancellation);
        return Cli.Done;
    }

    private static ClusterClient Open(NodeOptions options, TimeProvider time)
    {
        try
        {
            return ClusterClient.Open(new ClusterOptions { Kubeconfig = options.Kubeconfig, Program = "reconciler-controller", Version = AgentService.Version }, time);
        }
        catch (ClusterConfigException e)
        {
            throw new CommandException(e.Message);
        }
    }
}
