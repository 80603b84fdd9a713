using System.CommandLine;
using System.Globalization;
using Reconciler.Agent.Hosting;
using Reconciler.Core.Model;
using Reconciler.Sources.Files;
using Reconciler.Sources.Manifests;

namespace Reconciler.Agent.Commands;

/// <summary><c>reconciler validate</c>: what the agent would refuse in a folder, without touching anything.</summary>
internal static class ValidateCommand
{
    public static Command Build(CliConsole console)
    {
        var command = new ExampleCommand(
            "validate",
            "Check manifests: every problem with file, line, field and remedy. Exit code 1 if any is refused.",
            "reconciler validate -f ./site",
            "reconciler validate -f ./site --cluster    # nodeName is required there")
        {
            Notes = "It needs neither containerd nor root.",
        };
        var folder = new Option<string>("--filename", "-f") { HelpName = "DIR", Required = true, Description = "the folder, or one file" };
        var cluster = new Option<bool>("--cluster") { Description = "judge as the cluster does" };
        command.Options.Add(folder);
        command.Options.Add(cluster);
        var settings = new SettingOptions(command, [Settings.StateDir, Settings.NodeName, Settings.NodeLabels], console);
        command.SetAction((parsed, _) =>
        {
            var options = Declarations.ManifestOptionsOf(settings.Read(parsed)) with { Cluster = parsed.GetValue(cluster) };
            return Task.FromResult(Report(ManifestReader.ReadFolder(parsed.GetRequiredValue(folder), options), console));
        });
        return command;
    }

    private static int Report(ManifestFolder read, CliConsole console)
    {
        foreach (var problem in read.Problems) console.Out.WriteLine(problem.Warning ? $"{problem} [remark]" : problem.ToString());
        if (!read.State.Synced) return Cli.Failed;
        var refused = read.Problems.Count(problem => !problem.Warning);
        var containers = read.Resources.Keys.Count(key => key.Kind == ResourceKind.Container);
        console.Out.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{Count(read.Documents.Length, "document")}, for this node {Count(containers, "container")} and {Count(read.Resources.Count - containers, "image")}; {Count(refused, "problem")}, {Count(read.Problems.Length - refused, "remark")}"));
        return refused > 0 ? Cli.Failed : Cli.Done;
    }

    private static string Count(int count, string what) => string.Create(CultureInfo.InvariantCulture, $"{count} {what}{(count == 1 ? "" : "s")}");
}
