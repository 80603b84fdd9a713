using System.CommandLine;
using System.Text;
using Reconciler.Agent.Hosting;
using Reconciler.Agent.Logs;

namespace Reconciler.Agent.Commands;

/// <summary><c>reconciler logs</c>: what a container wrote, also while agent and containerd are down.</summary>
internal static class LogsCommand
{
    public static Command Build(CliConsole console)
    {
        var command = new ExampleCommand(
            "logs",
            "Print what a container wrote: standard output, then standard error.",
            "reconciler logs web",
            "reconciler logs -f web/server          # over restarts, until Ctrl-C",
            "reconciler logs --previous --tail 20 -n shop web/server");
        var target = new Argument<string>("WORKLOAD[/CONTAINER]") { Description = "the container may be left out where the workload has one" };
        var follow = new Option<bool>("--follow", "-f") { Description = "go on with what is written, over cuts and restarts" };
        var previous = new Option<bool>("--previous", "-p") { Description = "the run before the newest one" };
        var tail = new Option<string>("--tail") { HelpName = "N", Description = "only the last N lines of each stream" };
        var ns = new Option<string>("--namespace", "-n") { HelpName = "NS", Description = "namespace of the workload (default: default)" };
        target.CompletionSources.Add(_ => CompletionCommand.Targets(console));
        command.Arguments.Add(target);
        foreach (var option in new Option[] { follow, previous, tail, ns }) command.Options.Add(option);
        var settings = new SettingOptions(command, Settings.Node, console);
        command.SetAction((parsed, cancellation) => RunAsync(
            settings.Read(parsed),
            Request(Target.Parse(parsed.GetRequiredValue(target), parsed.GetValue(ns)), parsed.GetValue(follow), parsed.GetValue(previous), parsed.GetValue(tail)),
            console,
            cancellation));
        return command;
    }

    private static LogRequest Request(Target target, bool follow, bool previous, string? tail)
    {
        if (follow && previous) throw new CommandException("--follow and --previous exclude each other: the previous run writes nothing any more");
        var lines = 0;
        if (tail is not null && !int.TryParse(tail, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out lines))
        {
            throw new CommandException($"--tail: \"{tail}\" cannot be used; right is: a number of lines, 0 or more");
        }
        return new LogRequest
        {
            Namespace = target.Namespace, Workload = target.Workload, Container = target.Container, Follow = follow, Previous = previous, Tail = tail is null ? null : lines,
        };
    }

    private static async Task<int> RunAsync(NodeOptions options, LogRequest request, CliConsole console, CancellationToken cancellation)
    {
        var gone = console.OutBytes is not null && request.Follow ? PipeReader.Gone() : CancellationToken.None;
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellation, gone);
        var files = new LogFiles(options.LogDir, console.Time, options.HostRoot);
        var log = new LogReader(files, console.Time, notice => console.Error.WriteLine($"reconciler: {notice}"));
        try
        {
            if (console.OutBytes is { } raw)
            {
                await log.ReadAsync(request, raw, ended.Token);
                return Cli.Done;
            }
            var buffer = new MemoryStream();
            await log.ReadAsync(request, buffer, ended.Token);
            console.Out.Write(Encoding.UTF8.GetString(buffer.ToArray()));
            return Cli.Done;
        }
        catch (LogNotFoundException e)
        {
            throw new CommandException(e.Message);
        }
    }
}
