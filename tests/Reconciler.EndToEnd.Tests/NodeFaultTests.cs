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

    [Fact]
    public async Task When_a_full_log_disk_has_space_again_every_container_writes_again()
    {
        string[] names = ["one", "two", "three"];
        await using var node = await AgentNode.StartAsync(start: false);
        Directory.CreateDirectory(node.LogDir);
        await Shell.OutputAsync("mount", "-t", "tmpfs", "-o", "size=4m", "logs", node.LogDir);
        node.StartAgent();
        foreach (var name in names) node.Declare(name + ".yaml", Manifest.Shell(name, "while :; do echo a line of a container; usleep 20000; done"));
        var blocked = new List<RunningTask>();
        foreach (var name in names) blocked.Add(await node.RunningAsync($"default-{name}-main"));
        await Eventually.UntilAsync(() => names.All(name => Written(name, blocked) > 0), "all write");

        var filler = Path.Combine(node.LogDir, "filler");
        await Eventually.UntilAsync(() => Fill(filler) && !ShimHolds(node.LogDir), "every shim let go of its log");
        File.Delete(filler);

        // Within a minute, three times of which is the limit of a test.
        var again = new List<RunningTask>();
        foreach (var (name, task) in names.Zip(blocked)) again.Add(await node.ReplacedAsync($"default-{name}-main", task));
        await Eventually.UntilAsync(() => names.All(name => Written(name, again) > 0), "all write again", TimeSpan.FromMinutes(3));
        Assert.Contains("its log files were closed by a full disk", node.AgentLog, StringComparison.Ordinal);

        long Written(string name, List<RunningTask> tasks) =>
            new FileInfo(Path.Combine(node.LogDir, $"default/{name}/main/{tasks[Array.IndexOf(names, name)].Id.Split('-')[^1]}.out")) is { Exists: true } log ? log.Length : 0;

        static bool Fill(string path)
        {
            try
            {
                using var file = new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
                while (true) file.Write(new byte[4096]);
            }
            catch (IOException)
            {
                return true;
            }
        }
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
