using System.CommandLine;
using Reconciler.Agent.Commands.Output;
using Reconciler.Agent.Hosting;
using Reconciler.Containerd;
using Reconciler.Core.Model;
using Reconciler.Core.Ports;

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
            "reconciler get containers --watch           # then each change, until Ctrl-C",
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
        var watch = WatchOption(command);
        var settings = new SettingOptions(command, Settings.Node, console);
        command.SetAction((parsed, cancellation) => ContainersAsync(
            new Request(settings.Read(parsed), output.Read(parsed), parsed.GetValue(watch)),
            parsed.GetValue(all) ? null : parsed.GetValue(ns), parsed.GetValue(names) ?? [], console, cancellation));
        return command;
    }

    private static ExampleCommand Images(CliConsole console)
    {
        var command = new ExampleCommand(
            "images",
            "List images, with the progress of pulls.",
            "reconciler get images",
            "reconciler get images -o wide    # with the layers of pulls under way",
            "reconciler get images -w         # then each row that changes, until Ctrl-C")
        {
            Notes = Notes,
        };
        command.Aliases.Add("image");
        var output = new OutputOption(command);
        var watch = WatchOption(command);
        var settings = new SettingOptions(command, Settings.Node, console);
        command.SetAction((parsed, cancellation) => ImagesAsync(new Request(settings.Read(parsed), output.Read(parsed), parsed.GetValue(watch)), console, cancellation));
        return command;
    }

    private static Option<bool> WatchOption(Command command)
    {
        var watch = new Option<bool>("--watch", "-w") { Description = "go on with each row that changes" };
        command.Options.Add(watch);
        return watch;
    }

    private static async Task<int> ContainersAsync(Request request, string? ns, string[] names, CliConsole console, CancellationToken cancellation)
    {
        await using var node = await NodeReading.OpenAsync(request.Options, console.Time, cancellation);
        var shape = Lists.Containers(request.Format == OutputFormat.Wide, request.Options.NodeName, Environment.IsPrivilegedProcess);
        return await ShowAsync(node, request, shape, "No containers found.", ListAsync, console, cancellation);

        async Task<IReadOnlyList<ContainerRow>> ListAsync(StateMemory memory, CancellationToken end)
        {
            var rows = ContainerRow.From(await node.ListAsync(end), memory.State, memory.AgentAlive)
                .Where(row => ns is null || row.Key.Namespace == ns)
                .Where(row => names.Length == 0 || names.Contains(row.Workload) || names.Contains(row.Key.Name))
                .ToList();
            if (request.Format is not (OutputFormat.Wide or OutputFormat.Json or OutputFormat.Yaml)) return rows;
            for (var i = 0; i < rows.Count; i++) rows[i] = rows[i] with { Processes = await ProcessesAsync(node.Client, rows[i], end) };
            return rows;
        }
    }

    private static async Task<int> ImagesAsync(Request request, CliConsole console, CancellationToken cancellation)
    {
        await using var node = await NodeReading.OpenAsync(request.Options, console.Time, cancellation);
        return await ShowAsync(node, request, Lists.Images(request.Format == OutputFormat.Wide), "No images found.", ListAsync, console, cancellation);

        async Task<IReadOnlyList<ImageRow>> ListAsync(StateMemory memory, CancellationToken end)
        {
            var observation = await node.ListAsync(end);
            var actual = observation.Resources.Values.Where(resource => resource.Image is not null).ToDictionary(resource => resource.Image!.Reference, resource => resource.Image!);
            var present = (await node.Client.ListImagesAsync([], end)).ToDictionary(
                image => image.Name, image => new ImageFacts(image.Name, image.Digest, image.Size, image.CreatedAt));
            return ImageRow.From(present, actual, memory.State, memory.AgentAlive);
        }
    }

    private static async Task<int> ShowAsync<TRow>(
        NodeReading node, Request request, RowShape<TRow> shape, string none,
        Func<StateMemory, CancellationToken, Task<IReadOnlyList<TRow>>> list, CliConsole console, CancellationToken cancellation)
    {
        var memory = Memory(request.Options, console);
        foreach (var problem in memory.State?.Problems ?? []) console.Error.WriteLine($"reconciler: {problem}");
        if (request.Watch) return await WatchAsync(node, request, shape, list, memory, console, cancellation);
        var rows = await list(memory, cancellation);
        if (rows.Count == 0) console.Error.WriteLine(none);
        if (rows.Count > 0 || request.Format is OutputFormat.Json or OutputFormat.Yaml) console.Out.Write(shape.Of(rows, request.Format, console.Time.GetUtcNow()));
        return Cli.Done;
    }

    private static async Task<int> WatchAsync<TRow>(
        NodeReading node, Request request, RowShape<TRow> shape, Func<StateMemory, CancellationToken, Task<IReadOnlyList<TRow>>> list, StateMemory memory,
        CliConsole console, CancellationToken cancellation)
    {
        var gone = console.OutBytes is null ? CancellationToken.None : PipeReader.Gone();
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellation, gone);
        await using var hints = new NodeChanges(node.Client, request.Options.StateDir, console.Time);
        var changes = new RowChanges<TRow>(shape, request.Format);
        var trouble = "";
        try
        {
            while (true)
            {
                try
                {
                    console.Out.Write(changes.Next(await list(memory, ended.Token), console.Time.GetUtcNow()));
                    trouble = "";
                }
                catch (Exception e) when (e is RuntimeException or ContainerdException)
                {
                    if (trouble != e.Message) console.Error.WriteLine($"reconciler: {trouble = e.Message}; it is tried again");
                }
                await hints.NextAsync(ended.Token);
                var next = StateMemory.Read(request.Options.StateDir, console.Time.GetUtcNow());
                if (next.AgentAlive != memory.AgentAlive && next.Notice.Length > 0) console.Error.WriteLine($"reconciler: {next.Notice}");
                memory = next;
            }
        }
        catch (OperationCanceledException) when (ended.IsCancellationRequested)
        {
            return Cli.Done; // Ctrl-C is how watching ends
        }
    }

    private static StateMemory Memory(NodeOptions options, CliConsole console)
    {
        var memory = StateMemory.Read(options.StateDir, console.Time.GetUtcNow());
        if (memory.Notice.Length > 0) console.Error.WriteLine($"reconciler: {memory.Notice}");
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

    private sealed record Request(NodeOptions Options, OutputFormat Format, bool Watch);
}
