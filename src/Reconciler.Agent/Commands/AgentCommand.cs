using System.CommandLine;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Reconciler.Agent.Hosting;
using Reconciler.Agent.Tracing;

namespace Reconciler.Agent.Commands;

/// <summary><c>reconciler agent</c>: keeps the node as declared until it is told to stop.</summary>
internal static partial class AgentCommand
{
    /// <summary>SIGTERM to the end of the process is promised within 5 s.</summary>
    private static readonly TimeSpan ShutdownLimit = TimeSpan.FromSeconds(4);

    public static Command Build(CliConsole console)
    {
        var command = new ExampleCommand(
            "agent",
            "Keep this node's containers and images as the manifests declare them.",
            "reconciler agent --manifests /etc/reconciler/manifests",
            "reconciler agent --manifests ./site --manifests ./local --node-labels a=b",
            "reconciler agent --kubernetes --kubeconfig /etc/reconciler/kubeconfig",
            "reconciler agent --embedded-containerd --manifests ./site")
        {
            Notes = "It waits for containerd where that is absent, says READY on standard error once it reconciles, and leaves the containers running when it stops.",
        };
        var settings = new SettingOptions(command, Settings.Agent, console);
        command.SetAction((parsed, cancellation) => RunAsync(settings.Read(parsed), console, cancellation));
        return command;
    }

    private static async Task<int> RunAsync(NodeOptions options, CliConsole console, CancellationToken cancellation)
    {
        if (options.Manifests.Count == 0 && !options.Kubernetes) throw new CommandException("nothing declares what should run: give --manifests DIR, --kubernetes, or both");
        if (options is { EmbeddedContainerd: true, ContainerdAddressGiven: true })
        {
            throw new CommandException("--embedded-containerd has its own socket: leave --containerd-address out, or the other");
        }
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Logging.SetMinimumLevel(options.LogLevel);
        builder.Logging.AddProvider(new StderrLog(console.Error, console.Time, options.LogLevel, console.Color, options.LogFormat));
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = ShutdownLimit);
        builder.Services.AddSingleton(options);
        builder.Services.AddSingleton(console.Time);
        builder.Services.AddSingleton(_ => ServiceManager.FromEnvironment(console.Variable));
        builder.Services.AddSingleton<AgentService>();
        builder.Services.AddHostedService(services => services.GetRequiredService<AgentService>());
        using var traces = TraceExport.Start(options, "reconciler-agent", console.Variable);
        using var host = builder.Build();
        var agent = host.Services.GetRequiredService<AgentService>();
        var logger = host.Services.GetRequiredService<ILoggerFactory>().CreateLogger("Agent"); // the host ends with its services
        try
        {
            await host.RunAsync(cancellation);
        }
        catch (OperationCanceledException)
        {
            // something did not stop in time; it ends with the process
        }
        if (agent.Failure is null) return Cli.Done;
        if (options.LogFormat == LogFormat.Json)
        {
            LogEnded(logger, agent.Failure, agent.Failure.Message);
            return Cli.Failed;
        }
        console.Error.WriteLine($"reconciler: the agent cannot go on: {agent.Failure.Message}");
        if (options.LogLevel <= LogLevel.Debug) console.Error.WriteLine(agent.Failure);
        return Cli.Failed;
    }

    [LoggerMessage(1106, LogLevel.Critical, "the agent cannot go on: {Error}")]
    private static partial void LogEnded(ILogger logger, Exception failure, string error);
}
