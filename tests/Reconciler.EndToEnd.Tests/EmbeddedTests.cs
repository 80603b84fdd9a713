using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;

namespace Reconciler.EndToEnd.Tests;

public sealed class EmbeddedTests
{
    [Fact]
    public async Task The_embedded_containerd_outlives_the_agent_is_adopted_by_the_next_and_restarted_when_it_dies()
    {
        using var folder = new TempFolder();
        var ns = "t" + Names.Unique();
        await File.WriteAllTextAsync(folder["namespace"], ns, TestContext.Current.CancellationToken);
        Directory.CreateDirectory(folder["manifests"]);
        await File.WriteAllTextAsync(folder["manifests"] + "/web.yaml", Manifest.Sleepers("web", "one"), TestContext.Current.CancellationToken);
        var environment = new Dictionary<string, string>
        {
            ["RECONCILER_EMBEDDED_CONTAINERD"] = "true",
            ["RECONCILER_CONTAINERD_NAMESPACE"] = ns,
            ["RECONCILER_STATE_DIR"] = folder["s"],
            ["RECONCILER_LOG_DIR"] = folder["l"],
            ["RECONCILER_NODE_NAME"] = "edge",
            ["RECONCILER_PLAIN_HTTP"] = SharedRegistry.Host,
            ["RECONCILER_MANIFESTS"] = folder["manifests"],
        };
        var socket = folder["s/containerd/c.sock"];
        try
        {
            var first = StartAgent(environment);
            var row = await RunningAsync(environment);
            first.Kill();
            await first.WaitForExitAsync(TestContext.Current.CancellationToken);
            var daemon = Assert.Single(DaemonsOf(folder["s"]));

            var second = StartAgent(environment);
            await Eventually.UntilAsync(async () => (await Shell.RunAsync(AgentNode.Binary, ["plan"], environment)).ExitCode == 0, "the next agent has converged");
            Assert.Equal(daemon, Assert.Single(DaemonsOf(folder["s"])));
            Assert.Equal((int?)row["pid"], (int?)(await RunningAsync(environment))["pid"]);

            Signals.Send(daemon, Signals.Kill);
            await Eventually.UntilAsync(() => DaemonsOf(folder["s"]) is [var again] && again != daemon, "containerd is started again");
            Assert.Equal((int?)row["pid"], (int?)(await RunningAsync(environment))["pid"]);
            second.Kill();
            await second.WaitForExitAsync(TestContext.Current.CancellationToken);
        }
        finally
        {
            await Eventually.UntilAsync( // one that still dies may write into the folder that goes
                () =>
                {
                    var alive = DaemonsOf(folder["s"]);
                    foreach (var daemon in alive) Signals.Send(daemon, Signals.Kill);
                    return alive.Count == 0;
                },
                "the daemon ends");
            await Leftovers.SweepAsync(socket, ns);
        }
    }

    private static Process StartAgent(Dictionary<string, string> environment)
    {
        var start = new ProcessStartInfo(AgentNode.Binary, ["agent"]);
        foreach (var (key, value) in environment) start.Environment[key] = value;
        return Process.Start(start)!;
    }

    private static Task<JsonNode> RunningAsync(Dictionary<string, string> environment) => Eventually.GetAsync(
        async () =>
        {
            var result = await Shell.RunAsync(AgentNode.Binary, ["get", "containers", "-A", "-o", "json"], environment);
            if (result.ExitCode != 0) return null;
            return JsonNode.Parse(result.Output)!["items"]!.AsArray().FirstOrDefault(item => (string?)item!["state"] == "Running");
        },
        "the container runs");

    /// <summary>Pids of the containerd daemons whose command line names the state folder.</summary>
    private static List<int> DaemonsOf(string state) => [.. Directory.GetDirectories("/proc")
        .Select(path => int.TryParse(Path.GetFileName(path), CultureInfo.InvariantCulture, out var pid) ? pid : 0)
        .Where(pid => pid > 0)
        .Where(pid =>
        {
            try
            {
                var command = File.ReadAllText($"/proc/{pid}/cmdline").Split('\0');
                return Path.GetFileName(command[0]) == "containerd" && command.Any(word => word.StartsWith(state, StringComparison.Ordinal));
            }
            catch (IOException)
            {
                return false;
            }
        })];
}
