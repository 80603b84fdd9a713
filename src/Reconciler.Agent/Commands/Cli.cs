using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using Reconciler.Agent.Hosting;
using Reconciler.Containerd;
using Reconciler.Core.Ports;
using Reconciler.Sources.Kubernetes;
using Reconciler.Sources.Manifests;

namespace Reconciler.Agent.Commands;

/// <summary>The command line as a whole.</summary>
public static class Cli
{
    public const int Done = 0;
    public const int Failed = 1;

    /// <summary>What <c>plan</c> returns when there is something to do.</summary>
    public const int Changes = 2;

    private const int Interrupted = 130;

    public static Task<int> RunAsync(string[] args, TextWriter stdout, TextWriter stderr, CancellationToken cancellation) =>
        RunAsync(args, new CliConsole(stdout, stderr), cancellation);

    /// <returns>0 done, 1 anything that failed, wrong usage included; <c>plan</c>: 2 for changes; <c>exec</c>: the command's own, 125 to 127 where it did not run.</returns>
    public static async Task<int> RunAsync(string[] args, CliConsole console, CancellationToken cancellation)
    {
        var parsed = Build(console).Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (parsed.Errors.Count > 0 && parsed.Action is ParseErrorAction)
        {
            // An unknown command is told as such; that none was given is then no news.
            var errors = parsed.UnmatchedTokens.Count > 0 && parsed.Errors.Count > 1 ? parsed.Errors.Where(error => !error.Message.StartsWith("Required command", StringComparison.Ordinal)) : parsed.Errors;
            foreach (var error in errors) console.Error.WriteLine($"reconciler: {error.Message}{Hint(parsed, error.Message)}");
            console.Error.WriteLine($"See {Path(parsed)} --help");
            return parsed.CommandResult.Command.Name == ExecCommand.Name ? ExecCommand.OurFailure : Failed;
        }
        // The process's own signal handling ends commands: no second one here.
        var invocation = new InvocationConfiguration
        {
            Output = console.Out, Error = console.Error, EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null,
        };
        return await GuardAsync(console, () => parsed.InvokeAsync(invocation, cancellation), cancellation);
    }

    internal static RootCommand Build(CliConsole console)
    {
        var root = new RootCommand("Keeps the containers and images of one Linux node as declared, on containerd.")
        {
            AgentCommand.Build(console),
            ControllerCommand.Build(console),
            PlanCommand.Build(console),
            GetCommand.Build(console),
            DescribeCommand.Build(console),
            LogsCommand.Build(console),
            ExecCommand.Build(console),
            RestartCommand.Build(console),
            PullCommand.Build(console),
            ValidateCommand.Build(console),
            CompletionCommand.Build(console),
            VersionCommand.Build(console),
        };
        root.Options.Remove(root.Options.OfType<VersionOption>().Single()); // `version` says more
        var help = root.Options.OfType<HelpOption>().Single();
        foreach (var foreign in new[] { "/h", "/?" }) help.Aliases.Remove(foreign);
        help.Action = new ExampleHelp((HelpAction)help.Action!);
        return root;
    }

    private static async Task<int> GuardAsync(CliConsole console, Func<Task<int>> run, CancellationToken cancellation)
    {
        try
        {
            return await run();
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            return Interrupted;
        }
        catch (Exception e) when (e is SettingException or CommandException or RuntimeException or ContainerdException or ClusterConfigException or IOException or UnauthorizedAccessException)
        {
            console.Error.WriteLine($"reconciler: {e.Message}");
            return Failed;
        }
    }

    /// <summary>The command or flag that the unknown word is nearest to.</summary>
    private static string Hint(ParseResult parsed, string message)
    {
        if (parsed.UnmatchedTokens.FirstOrDefault(token => message.Contains($"'{token}'", StringComparison.Ordinal)) is not { } unknown) return "";
        var command = parsed.CommandResult.Command;
        var known = unknown.StartsWith('-')
            ? command.Options.Where(option => !option.Hidden).Select(option => option.Name)
            : command.Subcommands.Where(child => !child.Hidden).Select(child => child.Name);
        return Nearest.Find(unknown.Split('=')[0], [.. known]) is { } near ? $" Did you mean {near}?" : "";
    }

    private static string Path(ParseResult parsed)
    {
        var names = new Stack<string>();
        for (var result = parsed.CommandResult; result is not null; result = result.Parent as System.CommandLine.Parsing.CommandResult)
        {
            names.Push(result.Command is RootCommand ? "reconciler" : result.Command.Name);
        }
        return string.Join(' ', names);
    }
}
