using Reconciler.Testing;

namespace Reconciler.EndToEnd.Tests;

public sealed class NodeFaultTests
{
    [Fact]
    public async Task What_names_another_node_does_not_run_here_until_it_names_this_one()
    {
        await using var node = await AgentNode.StartAsync();
        var here = Manifest.Sleepers("here", "one");
        node.Declare("both.yaml", here + "---\n" + On("node-2"));

        await node.RunningAsync("default-here-one");
        await node.ConvergedAsync();
        Assert.Single(await node.ContainerIdsAsync());

        node.Declare("both.yaml", here + "---\n" + On("node-1"));
        await node.RunningAsync("default-named-one");
        node.Declare("both.yaml", here + "---\n" + On("node-2"));
        await Eventually.UntilAsync(async () => (await node.ContainerIdsAsync()).Count == 1, "it is removed from here");
        await node.RunningAsync("default-here-one");

        static string On(string name) => Manifest.Sleepers("named", "one").Replace("spec:\n", $"spec:\n  nodeName: {name}\n", StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_container_that_a_full_log_disk_blocked_is_replaced()
    {
        await using var node = await AgentNode.StartAsync(start: false);
        Directory.CreateDirectory(node.LogDir);
        await Shell.OutputAsync("mount", "-t", "tmpfs", "-o", "size=1m", "logs", node.LogDir);
        node.StartAgent();
        // Fills the disk once, in its first life.
        node.Declare("web.yaml", Manifest.Shell(
            "web",
            "[ -e /data/go ] || until [ -e /data/now ]; do usleep 20000; done; [ -e /data/go ] || { touch /data/go; yes; }; exec sleep 100000",
            "volumes: [{name: data, emptyDir: {}}]",
            "volumeMounts: [{name: data, mountPath: /data}]"));
        var blocked = await node.RunningAsync("default-web-main");
        await node.ConvergedAsync();
        await node.KillAgentAsync(); // nobody cuts the log, and the next agent looks at once
        var data = Path.Combine(node.StateDir, "volumes/default/web/data");
        await File.WriteAllTextAsync(Path.Combine(data, "now"), "", TestContext.Current.CancellationToken);
        await Eventually.UntilAsync(() => !ShimHolds(node.LogDir), "the shim let go of its log");

        node.StartAgent();

        var next = await node.ReplacedAsync("default-web-main", blocked);
        await Eventually.UntilAsync(() => node.AgentLog.Contains("its log files were closed by a full disk", StringComparison.Ordinal), "the log says why");
        await node.ConvergedAsync();
        Assert.Equal(next, await node.RunningAsync("default-web-main"));
        Assert.Equal(1, (int?)Assert.Single(await node.ContainersAsync())["restarts"]);
    }

    /// <summary>Some process has the container's standard output open below the folder.</summary>
    private static bool ShimHolds(string folder)
    {
        foreach (var process in Directory.EnumerateDirectories("/proc"))
        {
            try
            {
                if (!File.ReadAllText(process + "/comm").StartsWith("containerd-shim", StringComparison.Ordinal)) continue;
                if (Directory.EnumerateFileSystemEntries(process + "/fd").Any(fd => new FileInfo(fd).LinkTarget is { } target && IsOut(target))) return true;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // no process, or it ended meanwhile
            }
        }
        return false;

        bool IsOut(string target) => target.StartsWith(folder, StringComparison.Ordinal) && target.EndsWith(".out", StringComparison.Ordinal);
    }
}
