using System.CommandLine;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Reconciler.Agent.Commands.Output;
using Reconciler.Agent.Hosting;
using Reconciler.Containerd;

namespace Reconciler.Agent.Commands;

/// <summary><c>reconciler version</c>: ours, and containerd's where it answers.</summary>
internal static class VersionCommand
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(2);

    public static Command Build(CliConsole console)
    {
        var command = new ExampleCommand("version", "Print the version of this program and of the node's containerd.", "reconciler version", "reconciler version -o json");
        var output = new OutputOption(command);
        var settings = new SettingOptions(command, Settings.Node, console);
        command.SetAction((parsed, cancellation) => RunAsync(settings.Read(parsed), output.Read(parsed), console, cancellation));
        return command;
    }

    private static async Task<int> RunAsync(NodeOptions options, OutputFormat format, CliConsole console, CancellationToken cancellation)
    {
        var (address, server) = (NodeConnection.AddressOf(options), await ServerAsync(options, console, cancellation));
        var platform = RuntimeInformation.RuntimeIdentifier;
        if (format is OutputFormat.Json or OutputFormat.Yaml)
        {
            var json = new JsonObject { ["version"] = AgentService.Version, ["platform"] = platform };
            if (server is not null) json["containerd"] = new JsonObject { ["version"] = server.Version, ["revision"] = server.Revision, ["address"] = address };
            console.Out.Write(format == OutputFormat.Json ? JsonText.Of(json, indented: true) + "\n" : YamlText.Of(json));
        }
        else
        {
            console.Out.WriteLine($"reconciler {AgentService.Version} {platform}");
            if (server is not null) console.Out.WriteLine($"containerd {server.Version} {address}");
        }
        if (server is null) console.Error.WriteLine($"reconciler: containerd does not answer at {address}");
        return Cli.Done;
    }

    private static async Task<VersionInfo?> ServerAsync(NodeOptions options, CliConsole console, CancellationToken cancellation)
    {
        if (!File.Exists(NodeConnection.AddressOf(options))) return null;
        try
        {
            await using var client = await ContainerdClient.ConnectAsync(NodeConnection.ClientOptions(options, Limit, console.Time, null), cancellation);
            return await client.VersionAsync(cancellation);
        }
        catch (ContainerdException)
        {
            return null;
        }
    }
}
