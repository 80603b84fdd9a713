using System.CommandLine;
using Reconciler.Agent.Commands.Output;
using Reconciler.Agent.Hosting;
using Reconciler.Containerd;
using Reconciler.Core.Model;

namespace Reconciler.Agent.Commands;

/// <summary><c>reconciler get containers|images</c>: what is there, and why it is not as declared.</summary>
internal static class GetCommand
{
    private const string Notes = "It reads containerd and state.json, and works while the agent is down. READY means running, until there are probes.";

    public static Command Build(CliConsole console) => new ExampleCommand("get", "List containers or images of this node.")
    {
        Containers(console), Images(console),
    };

    private static ExampleCommand Containers(CliConsole console)
    {
        var command = new ExampleCommand(
            "containers",
            "List containers.",
            "reconciler get containers",
            "reconciler get containers -n shop -o wide",
            "reconciler get containers web/server -o yaml")
        {
            Notes = Notes,
        };
        command.Aliases.Add("container");
        var names = new Argument<string[]>("WORKLOAD[/CONTAINER]") { Arity = ArgumentArity.ZeroOrMore, Description = "only these" };
        var ns = new Option<string>("--namespace", "-n") { HelpName = "NS", Description = "only this namespace (default: all)" };
        var all = new Option<bool>("--all-namespaces", "-A") { Description = "all namespaces, the default" };
        command.Arguments.Add(names);
        command.Options.Add(ns);
        command.Options.Add(all);
        var output = new OutputOption(command);
        var settings = new SettingOptions(command, Settings.Node, console);
        command.SetAction((parsed, cancellation) => ContainersAsync(
            settings.Read(parsed), output.Read(parsed), parsed.GetValue(all) ? null : parsed.GetValue(ns), parsed.GetValue(names) ?? [], console, cancellation));
        return command;
    }

    private static ExampleCommand Images(CliConsole console)
    {
        var command = new ExampleCommand(
            "images",
            "List images, with the progress of pulls.",
            "reconciler get images",
            "reconciler get images -o wide    # with the layers of pulls under way")
        {
            Notes = Notes,
        };
        command.Aliases.Add("image");
        var output = new OutputOption(command);
        var settings = new SettingOptions(command, Settings.Node, console);
        command.SetAction((parsed, cancellation) => ImagesAsync(settings.Read(parsed), output.Read(parsed), console, cancellation));
        return command;
    }

    private static async Task<int> ContainersAsync(
        NodeOptions options, OutputFormat format, string? ns, string[] names, CliConsole console, CancellationToken cancellation)
    {
        await using var node = await NodeReading.OpenAsync(options, console.Time, cancellation);
        var now = console.Time.GetUtcNow();
        var memory = Memory(options, console, now);
        var rows = ContainerRow.From(await node.ListAsync(cancellation), memory.State, memory.AgentAlive)
            .Where(row => ns is null || row.Key.Namespace == ns)
            .Where(row => names.Length == 0 || names.Contains(row.Workload) || names.Contains(row.Key.Name))
            .ToList();
        if (format is OutputFormat.Wide or OutputFormat.Json or OutputFormat.Yaml)
        {
            for (var i = 0; i < rows.Count; i++) rows[i] = rows[i] with { Processes = await ProcessesAsync(node.Client, rows[i], cancellation) };
        }
        if (rows.Count == 0) console.Error.WriteLine("No containers found.");
        if (rows.Count > 0 || format is OutputFormat.Json or OutputFormat.Yaml)
        {
            console.Out.Write(Lists.Of(rows, format, options.NodeName, now, showProcess: Environment.IsPrivilegedProcess));
        }
        return Cli.Done;
    }

    private static async Task<int> ImagesAsync(NodeOptions options, OutputFormat format, CliConsole console, CancellationToken cancellation)
    {
        await using var node = await NodeReading.OpenAsync(options, console.Time, cancellation);
        var now = console.Time.GetUtcNow();
        var memory = Memory(options, console, now);
        var observation = await node.ListAsync(cancellation);
        var actual = observation.Resources.Values.Where(resource => resource.Image is not null).ToDictionary(resource => resource.Image!.Reference, resource => resource.Image!);
        var present = (await node.Client.ListImagesAsync([], cancellation)).ToDictionary(
            image => image.Name, image => new ImageFacts(image.Name, image.Digest, image.Size, image.CreatedAt));
        var rows = ImageRow.From(present, actual, memory.State, memory.AgentAlive);
        if (rows.Count == 0) console.Error.WriteLine("No images found.");
        if (rows.Count > 0 || format is OutputFormat.Json or OutputFormat.Yaml) console.Out.Write(Lists.Of(rows, format, now));
        return Cli.Done;
    }

    private static StateMemory Memory(NodeOptions options, CliConsole console, DateTimeOffset now)
    {
        var memory = StateMemory.Read(options.StateDir, now);
        if (memory.Notice.Length > 0) console.Error.WriteLine($"reconciler: {memory.Notice}");
        foreach (var problem in memory.State?.Problems ?? []) console.Error.WriteLine($"reconciler: {problem}");
        return memory;
    }

    private static async Task<IReadOnlyList<int>?> ProcessesAsync(ContainerdClient client, ContainerRow row, CancellationToken cancellation)
    {
        if (row.Actual is not { State: ContainerState.Running } container) return null;
        try
        {
            return await client.ContainerPidsAsync(container.Id, cancellation);
        }
        catch (ContainerdException e) when (!e.IsUnavailable)
        {
            return null; // it ended meanwhile
        }
    }
}
