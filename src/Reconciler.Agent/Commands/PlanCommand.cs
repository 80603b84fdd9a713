using System.CommandLine;
using Reconciler.Agent.Commands.Output;
using Reconciler.Agent.Hosting;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;

namespace Reconciler.Agent.Commands;

/// <summary><c>reconciler plan</c>: what the agent would do now.</summary>
internal static class PlanCommand
{
    public static Command Build(CliConsole console)
    {
        var command = new ExampleCommand(
            "plan",
            "Say what the agent would do now, and why. Exit code 0: nothing to do; 2: changes; 1: failed.",
            "reconciler plan    # for the folders of the agent that runs here",
            "reconciler plan --manifests /etc/reconciler/manifests",
            "reconciler plan -f ./next-version")
        {
            Notes = "+ is made, ~ is changed, - goes. A changed container shows the fields that differ, old -> new.",
        };
        var folder = new Option<string>("--filename", "-f") { HelpName = "DIR", Description = "plan as if the agent's folder had the content of this one" };
        command.Options.Add(folder);
        var output = new OutputOption(command);
        var settings = new SettingOptions(command, Settings.Declaring, console);
        command.SetAction((parsed, cancellation) => RunAsync(settings.Read(parsed), parsed.GetValue(folder), output.Read(parsed), console, cancellation));
        return command;
    }

    private static async Task<int> RunAsync(NodeOptions options, string? folder, OutputFormat format, CliConsole console, CancellationToken cancellation)
    {
        var states = States(options, folder, console);
        foreach (var problem in states.SelectMany(state => state.Problems).Where(problem => !problem.Warning)) console.Error.WriteLine($"reconciler: {problem}");
        foreach (var state in states.Where(state => !state.Synced)) console.Error.WriteLine($"reconciler: {state.Source}: {state.Doubt}");
        var desired = Declarations.Together(states);
        await using var node = await NodeReading.OpenAsync(options, console.Time, cancellation);
        var now = console.Time.GetUtcNow();
        var plans = NodePlanner.PlanAll(desired, await node.ListAsync(cancellation), now);
        var changes = plans.Where(planned => planned.Plan.Actions.Count > 0).ToList();
        var showEnv = Environment.IsPrivilegedProcess;
        console.Out.Write(format switch
        {
            OutputFormat.Json or OutputFormat.Yaml => ListOutput.Document("PlanList", changes.Select(planned => PlanText.Json(planned, showEnv)), format),
            OutputFormat.Name => string.Concat(changes.Select(planned => planned.Key + "\n")),
            _ when console.ColorOut => PlanText.Colored(PlanText.Of(plans, showEnv)),
            _ => PlanText.Of(plans, showEnv),
        });
        foreach (var line in PlanText.Waits(plans, now)) console.Error.WriteLine(line);
        return changes.Count > 0 ? Cli.Changes : Cli.Done;
    }

    private static IReadOnlyList<SourceState> States(NodeOptions options, string? folder, CliConsole console)
    {
        var memory = StateMemory.Read(options.StateDir, console.Time.GetUtcNow());
        if (folder is not null) return Declarations.ReadInstead(folder, Declarations.WithSourcesOf(memory.State, options));
        if (options.Manifests.Count > 0 || options.Kubernetes) return Declarations.Read(options, console.Time);
        var known = Declarations.WithSourcesOf(memory.State, options);
        return (known.Manifests.Count > 0 || known.Kubernetes) && known.Manifests.All(path => path.StartsWith('/'))
            ? Declarations.Read(known, console.Time)
            : throw new CommandException("nothing to plan for: give --manifests DIR, --kubernetes or -f DIR");
    }
}
