using System.CommandLine;
using Reconciler.Agent.Commands.Output;
using Reconciler.Agent.Hosting;
using Reconciler.Agent.Logs;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;

namespace Reconciler.Agent.Commands;

/// <summary><c>reconciler describe</c>: one container or all of a workload, with the declaration beside what runs, what waits and what happened last.</summary>
internal static class DescribeCommand
{
    public static Command Build(CliConsole console)
    {
        var command = new ExampleCommand(
            "describe",
            "Show a container in full: declared against actual, why it waits and until when, its last events.",
            "reconciler describe web",
            "reconciler describe -n shop web/server")
        {
            Notes = "It works while the agent is down. Env values are shown to root only.",
        };
        var target = new Argument<string>("WORKLOAD[/CONTAINER]") { Description = "all containers of a workload, or one" };
        target.CompletionSources.Add(_ => CompletionCommand.Targets(console));
        var ns = new Option<string>("--namespace", "-n") { HelpName = "NS", Description = "namespace of the workload (default: default)" };
        command.Arguments.Add(target);
        command.Options.Add(ns);
        var settings = new SettingOptions(command, Settings.Declaring, console);
        command.SetAction((parsed, cancellation) => RunAsync(settings.Read(parsed), Target.Parse(parsed.GetRequiredValue(target), parsed.GetValue(ns)), console, cancellation));
        return command;
    }

    private static async Task<int> RunAsync(NodeOptions options, Target target, CliConsole console, CancellationToken cancellation)
    {
        await using var node = await NodeReading.OpenAsync(options, console.Time, cancellation);
        var now = console.Time.GetUtcNow();
        var memory = StateMemory.Read(options.StateDir, now);
        if (memory.Notice.Length > 0) console.Error.WriteLine($"reconciler: {memory.Notice}");
        var observed = await node.ListAsync(cancellation);
        var plans = Plans(memory, options, observed, now, console)?.ToDictionary(planned => planned.Key);
        var rows = ContainerRow.From(observed, memory.State, memory.AgentAlive).Where(row => target.Names(row.Key)).ToList();
        if (rows.Count == 0) throw new CommandException($"there is no container {target} in namespace {target.Namespace}; see: reconciler get containers -A");
        var logs = new LogFiles(options.LogDir, console.Time, options.HostRoot);
        var texts = rows.Select(row => ContainerText.Of(row, plans?.GetValueOrDefault(row.Key), options.NodeName, LogOf(logs, row), now, Environment.IsPrivilegedProcess));
        console.Out.Write(string.Join("\n\n", texts));
        return Cli.Done;
    }

    private static string? LogOf(LogFiles logs, ContainerRow row) =>
        row.Actual is { } actual ? logs.PathsOf(row.Key.Namespace, row.Workload, row.Container, actual.Incarnation).Out : null;

    /// <summary>What the agent's sources say now; null = it is not known which they are.</summary>
    private static IReadOnlyList<PlannedKey>? Plans(StateMemory memory, NodeOptions options, NodeObservation observed, DateTimeOffset now, CliConsole console)
    {
        var known = options.Manifests.Count > 0 || options.Kubernetes ? options : Declarations.WithSourcesOf(memory.State, options);
        if ((known.Manifests.Count == 0 && !known.Kubernetes) || !known.Manifests.All(path => path.StartsWith('/') || options.Manifests.Count > 0)) return null;
        var states = Declarations.Read(known, console.Time);
        foreach (var problem in states.SelectMany(state => state.Problems).Where(problem => !problem.Warning)) console.Error.WriteLine($"reconciler: {problem}");
        return NodePlanner.PlanAll(Declarations.Together(states), observed, now);
    }
}
