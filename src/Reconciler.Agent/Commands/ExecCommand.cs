using System.CommandLine;
using System.Runtime.InteropServices;
using Reconciler.Agent.Hosting;
using Reconciler.Agent.Node;
using Reconciler.Agent.Runtime;
using Reconciler.Containerd;
using Reconciler.Core.Model;
using Reconciler.Core.Ports;

namespace Reconciler.Agent.Commands;

/// <summary><c>reconciler exec</c>: one more process in a running container; its exit code is ours.</summary>
internal static class ExecCommand
{
    public const string Name = "exec";

    /// <summary>It did not run, or how it ended is not known.</summary>
    public const int OurFailure = 125;

    private const int NotExecutable = 126;
    private const int NotFound = 127;
    private const int SigKill = 9;
    private const int SigTerm = 15;

    /// <summary>From the signal that ends us to SIGKILL, and from there to giving up.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(5);

    public static Command Build(CliConsole console)
    {
        var command = new ExampleCommand(
            Name,
            "Run a command in a running container.",
            "reconciler exec web -- cat /etc/hosts",
            "reconciler exec -it web/server -- sh",
            "tar c config | reconciler exec -i -n shop web/server -- tar x -C /etc/shop")
        {
            Notes = "Exit code: the command's own; 125 = it could not be run, 126 = it is not executable, 127 = it is not there.",
        };
        var target = new Argument<string>("WORKLOAD[/CONTAINER]") { Description = "the container may be left out where the workload has one" };
        var words = new Argument<string[]>("COMMAND") { Arity = ArgumentArity.OneOrMore, Description = "after --: the program and its arguments" };
        var input = new Option<bool>("--stdin", "-i") { Description = "pass standard input on" };
        var terminal = new Option<bool>("--tty", "-t") { Description = "give it a terminal: this one" };
        var ns = new Option<string>("--namespace", "-n") { HelpName = "NS", Description = "namespace of the workload (default: default)" };
        target.CompletionSources.Add(_ => CompletionCommand.Targets(console));
        command.Arguments.Add(target);
        command.Arguments.Add(words);
        foreach (var option in new Option[] { input, terminal, ns }) command.Options.Add(option);
        var settings = new SettingOptions(command, Settings.Node, console);
        command.SetAction((parsed, cancellation) => GuardAsync(console, () => RunAsync(
            settings.Read(parsed),
            Target.Parse(parsed.GetRequiredValue(target), parsed.GetValue(ns)),
            new OciProcess { Args = parsed.GetRequiredValue(words), Terminal = parsed.GetValue(terminal) },
            parsed.GetValue(input),
            console,
            cancellation)));
        return command;
    }

    private static async Task<int> RunAsync(NodeOptions options, Target target, OciProcess process, bool input, CliConsole console, CancellationToken cancellation)
    {
        if (process.Terminal && !Terminal.IsInput) throw new CommandException("-t needs a terminal as standard input; leave it out for a pipe or a file");
        await using var node = await NodeReading.OpenAsync(options, console.Time, cancellation);
        var id = target.FindRunning(await node.ListAsync(cancellation)).Id;
        var exec = new ExecProcess
        {
            ContainerId = id,
            ExecId = $"exec-{Environment.ProcessId}-{console.Time.GetUtcNow().ToUnixTimeMilliseconds()}",
            Process = process with { ConsoleSize = process.Terminal && Terminal.Size is var (columns, rows) ? new OciBox { Width = (uint)columns, Height = (uint)rows } : null },
            IO = ContainerIO.Streams(input ? console.InBytes : null, console.OutBytes, process.Terminal ? null : console.ErrorBytes) with { Terminal = process.Terminal },
        };
        using var hangUp = new CancellationTokenSource();
        using var gone = PosixSignalRegistration.Create(PosixSignal.SIGHUP, signal =>
        {
            signal.Cancel = true;
            hangUp.Cancel();
        });
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellation, hangUp.Token);
        using var terminal = process.Terminal ? new Terminal() : null;
        var started = await node.Client.ExecContainerAsync(exec, cancellation); // after a hang-up it is ended below
        using var resized = process.Terminal ? PosixSignalRegistration.Create(PosixSignal.SIGWINCH, _ => Task.Run(() => ResizeAsync(node.Client, exec))) : null;
        if (process.Terminal) await ResizeAsync(node.Client, exec);
        var exit = await EndAsync(node.Client, exec, started, end.Token);
        return exit.ExitCode ?? throw new CommandException("how it ended is not known: its container went, or containerd did not see it");
    }

    /// <summary>Its exit. Told to end, it is ended first.</summary>
    private static async Task<ExitMessage> EndAsync(ContainerdClient client, ExecProcess exec, StartedProcess started, CancellationToken end)
    {
        try
        {
            return await started.Exit.WaitAsync(end);
        }
        catch (OperationCanceledException) when (end.IsCancellationRequested)
        {
        }
        foreach (var signal in new[] { SigTerm, SigKill })
        {
            try
            {
                await client.KillAsync(exec.ContainerId, exec.ExecId, signal, CancellationToken.None);
                return await started.Exit.WaitAsync(Grace, CancellationToken.None);
            }
            catch (ContainerdException e) when (e.IsNotfound)
            {
                break; // it ended meanwhile
            }
            catch (TimeoutException)
            {
                // then by force
            }
        }
        return await started.Exit.WaitAsync(Grace, CancellationToken.None);
    }

    private static async Task ResizeAsync(ContainerdClient client, ExecProcess exec)
    {
        if (Terminal.Size is not var (columns, rows)) return;
        try
        {
            await client.ResizeAsync(exec.ContainerId, exec.ExecId, columns, rows);
        }
        catch (Exception e) when (e is ContainerdException or ObjectDisposedException)
        {
            // it ended meanwhile; a wrong size breaks nothing
        }
    }

    private static async Task<int> GuardAsync(CliConsole console, Func<Task<int>> run)
    {
        try
        {
            return await run();
        }
        catch (ContainerdException e)
        {
            var error = RuntimeErrors.OfCreate(e, "exec");
            console.Error.WriteLine($"reconciler: {error.Message}");
            return error.Reason switch { "CommandNotFound" => NotFound, "CommandNotExecutable" => NotExecutable, _ => OurFailure };
        }
        catch (Exception e) when (e is SettingException or CommandException or RuntimeException or IOException or UnauthorizedAccessException or TimeoutException)
        {
            console.Error.WriteLine($"reconciler: {e.Message}");
            return OurFailure;
        }
    }
}
