using System.CommandLine;
using Reconciler.Agent.Hosting;
using Reconciler.Agent.Runtime;
using Reconciler.Containerd;
using Reconciler.Core.Model;

namespace Reconciler.Agent.Commands;

/// <summary><c>reconciler restart</c>: leaves a wish at the containers, which the agent fulfils at once, or when it is back.</summary>
internal static class RestartCommand
{
    private const int MostTries = 5;

    public static Command Build(CliConsole console)
    {
        var command = new ExampleCommand(
            "restart",
            "Stop containers with their grace period and start the same again.",
            "reconciler restart web",
            "reconciler restart -n shop web/server db")
        {
            Notes = "It counts as no failure, ends a backoff, pulls nothing, and works whatever the restart policy. Returns at once; see: reconciler get containers.",
        };
        var targets = new Argument<string[]>("WORKLOAD[/CONTAINER]") { Arity = ArgumentArity.OneOrMore, Description = "all containers of a workload, or one" };
        var ns = new Option<string>("--namespace", "-n") { HelpName = "NS", Description = "namespace of the workloads (default: default)" };
        targets.CompletionSources.Add(_ => CompletionCommand.Targets(console));
        command.Arguments.Add(targets);
        command.Options.Add(ns);
        var settings = new SettingOptions(command, Settings.Node, console);
        command.SetAction((parsed, cancellation) => RunAsync(
            settings.Read(parsed), [.. parsed.GetRequiredValue(targets).Select(text => Target.Parse(text, parsed.GetValue(ns)))], console, cancellation));
        return command;
    }

    private static async Task<int> RunAsync(NodeOptions options, IReadOnlyList<Target> targets, CliConsole console, CancellationToken cancellation)
    {
        await using var node = await NodeReading.OpenAsync(options, console.Time, cancellation);
        var observed = await node.ListAsync(cancellation);
        var memory = StateMemory.Read(options.StateDir, console.Time.GetUtcNow());
        var suspended = (memory.State?.Keys ?? []).Where(key => key.Reason == "Suspended").Select(key => key.Key).ToHashSet();
        // Every target is looked at before anything is asked for.
        var chosen = targets.SelectMany(target =>
        {
            var found = observed.Resources.Where(pair => target.Names(pair.Key) && pair.Value.Containers.Count > 0).OrderBy(pair => pair.Key.Name, StringComparer.Ordinal).ToList();
            if (found.Count == 0) throw new CommandException($"there is no container {target} in namespace {target.Namespace}; see: reconciler get containers -A");
            foreach (var (key, _) in found.Where(pair => suspended.Contains(pair.Key))) throw new CommandException($"{key.Name} is suspended: it starts once its manifest says so");
            return found;
        }).DistinctBy(pair => pair.Key).ToList();
        var wish = new Dictionary<string, string> { [Labels.RestartWanted] = Labels.Text(console.Time.GetUtcNow()) };
        var result = Cli.Done;
        foreach (var (key, actual) in chosen)
        {
            if (await AskAsync(node, key, actual.Containers[0].Id, wish, cancellation))
            {
                console.Out.WriteLine($"container/{key.Namespace}/{key.Name} restart asked for");
                continue;
            }
            console.Error.WriteLine($"reconciler: container {key.Name} in namespace {key.Namespace} went meanwhile");
            result = Cli.Failed;
        }
        if (!memory.AgentAlive) console.Error.WriteLine("reconciler: no agent runs here; one that is started restarts them");
        return result;
    }

    /// <summary>Where a container was replaced meanwhile its successor is asked in its place.</summary>
    /// <returns>False = it went, and nothing came.</returns>
    private static async Task<bool> AskAsync(NodeReading node, ResourceKey key, string id, IReadOnlyDictionary<string, string> wish, CancellationToken cancellation)
    {
        for (var tries = 0; tries < MostTries; tries++)
        {
            try
            {
                await node.Client.UpdateLabelsAsync(id, wish, cancellation);
                return true;
            }
            catch (ContainerdException e) when (e.IsNotfound)
            {
                var now = (await node.ListAsync(cancellation)).Resources.GetValueOrDefault(key);
                if (now is not { Containers: [{ Id: var successor }, ..] }) return false;
                id = successor;
            }
        }
        return false;
    }
}
