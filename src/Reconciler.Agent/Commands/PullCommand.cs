using System.CommandLine;
using Reconciler.Agent.Commands.Output;
using Reconciler.Agent.Hosting;
using Reconciler.Agent.Node;
using Reconciler.Containerd;

namespace Reconciler.Agent.Commands;

/// <summary><c>reconciler pull</c>: fetches an image for good; the agent never removes it.</summary>
internal static class PullCommand
{
    public static Command Build(CliConsole console)
    {
        var command = new ExampleCommand(
            "pull",
            "Fetch and unpack an image; the agent never removes it.",
            "reconciler pull busybox",
            "reconciler pull --plain-http 127.0.0.1:5000 127.0.0.1:5000/shop/web:7");
        var reference = new Argument<string>("IMAGE") { Description = "e.g. busybox, quay.io/org/app:1 or app@sha256:..." };
        command.Arguments.Add(reference);
        var settings = new SettingOptions(command, [.. Settings.Node, .. Settings.Registry], console);
        command.SetAction((parsed, cancellation) => RunAsync(settings.Read(parsed), parsed.GetRequiredValue(reference), console, cancellation));
        return command;
    }

    private static async Task<int> RunAsync(NodeOptions options, string reference, CliConsole console, CancellationToken cancellation)
    {
        string normalised;
        try
        {
            normalised = ImageReference.Parse(reference).ToString();
        }
        catch (ArgumentException e)
        {
            throw new CommandException(e.Message.Split(" (Parameter")[0]);
        }
        await using var client = await NodeConnection.ConnectAsync(options, console.Time, cancellation);
        using var bars = console.Live ? new PullBars(console.Error, console.Time, () => Terminal.ErrorSize ?? (80, 24)) : null;
        var image = await client.PullImageAsync(normalised, bars ?? (IProgress<ProgressInfo>)new PullLines(console.Error), null, cancellation);
        bars?.Dispose();
        console.Out.WriteLine($"{image.Name} {image.Digest} {Units.Size(image.Size)}");
        return Cli.Done;
    }
}
