using Reconciler.Testing;
using Reconciler.Testing.Images;

namespace Reconciler.EndToEnd.Tests;

public sealed class CommandTests
{
    [Fact]
    public async Task Get_watch_follows_what_happens_until_it_is_interrupted()
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("web.yaml", Manifest.Sleepers("web", "one"));
        var task = await node.RunningAsync("default-web-one");
        var shown = Path.Combine(node.Folder, "watch");
        var start = new System.Diagnostics.ProcessStartInfo("/bin/sh", ["-c", "exec \"$0\" get containers --watch >\"$1\"", AgentNode.Binary, shown]);
        foreach (var (key, value) in node.Environment(null)) start.Environment[key] = value;
        using var watch = System.Diagnostics.Process.Start(start)!;
        try
        {
            await Eventually.UntilAsync(() => Lines().Any(line => line.Contains("Running", StringComparison.Ordinal)), "the container is shown");

            Signals.Send(task.Pid, Signals.Kill);
            await Eventually.UntilAsync(() => Lines().Any(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries) is [_, _, _, "Running", "True", "1", ..]), "its restart is shown");
            node.Withdraw("web.yaml");
            await Eventually.UntilAsync(() => Lines().Any(line => line.Contains("Removed", StringComparison.Ordinal)), "its end is shown");

            Assert.Single(Lines(), line => line.StartsWith("NAMESPACE", StringComparison.Ordinal));
            Signals.Send(watch.Id, Signals.Interrupt);
            await watch.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
            Assert.Equal(0, watch.ExitCode);
        }
        finally
        {
            if (!watch.HasExited) watch.Kill();
        }

        string[] Lines() => File.Exists(shown) ? File.ReadAllLines(shown) : [];
    }

    [Fact]
    public async Task Plan_says_what_the_agent_then_does_and_why()
    {
        await using var node = await AgentNode.StartAsync(start: false);
        node.Declare("web.yaml", Manifest.Sleepers("web", "one=a"));

        var create = await node.RunAsync("plan", "--manifests", node.Manifests);
        Assert.Equal(2, create.ExitCode);
        Assert.Contains("default/web/one", create.Output, StringComparison.Ordinal);

        node.StartAgent();
        await node.RunningAsync("default-web-one");
        await node.ConvergedAsync();
        await node.StopAgentAsync();
        node.Declare("web.yaml", Manifest.Sleepers("web", "one=b"));

        var change = await node.RunAsync("plan", "--manifests", node.Manifests);
        Assert.Equal(2, change.ExitCode);
        Assert.Contains("MARK", change.Output, StringComparison.Ordinal);
        Assert.Contains("~", change.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Logs_follow_over_a_restart_and_previous_shows_the_one_before()
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("talk.yaml", Manifest.Shell("talk", "echo out $HOSTNAME; echo err >&2; sleep 100000"));
        var first = await node.RunningAsync("default-talk-main");
        await Eventually.UntilAsync(async () => (await node.RunAsync("logs", "talk")).Output.Contains("err", StringComparison.Ordinal), "both streams are shown");

        // Ends when the line was seen a second time, which only the next incarnation writes.
        var follow = Shell.RunAsync(
            "/bin/sh",
            ["-c", "\"$0\" logs -f talk/main >\"$1\" & until [ \"$(grep -c ^out \"$1\")\" -ge 2 ]; do sleep 0.1; done; kill $!; wait $!; cat \"$1\"", AgentNode.Binary, Path.Combine(node.Folder, "followed")],
            node.Environment(null));
        var followed = Path.Combine(node.Folder, "followed");
        await Eventually.UntilAsync(() => File.Exists(followed) && File.ReadAllText(followed).Contains("out", StringComparison.Ordinal), "it follows the first");
        Signals.Send(first.Pid, Signals.Kill);

        Assert.Equal(2, (await follow).Output.Split('\n').Count(line => line.StartsWith("out", StringComparison.Ordinal)));
        var previous = await node.RunAsync("logs", "--previous", "--tail", "1", "talk/main");
        Assert.Equal(0, previous.ExitCode);
        Assert.NotEmpty(previous.Output);
    }

    [Fact]
    public async Task Get_works_while_the_agent_is_down_and_says_how_old_its_memory_is()
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("web.yaml", Manifest.Sleepers("web", "one"));
        var one = await node.RunningAsync("default-web-one");
        await node.ConvergedAsync();
        await node.StopAgentAsync();

        var wide = await node.RunAsync("get", "containers", "-A", "-o", "wide");

        Assert.Equal(0, wide.ExitCode);
        Assert.Contains(one.Pid.ToString(System.Globalization.CultureInfo.InvariantCulture), wide.Output, StringComparison.Ordinal);
        Assert.Contains("agent", wide.Error, StringComparison.OrdinalIgnoreCase);
        var images = await node.RunAsync("get", "images");
        Assert.Contains(SharedRegistry.Busybox, images.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Pull_fetches_an_image_that_the_agent_keeps()
    {
        await using var node = await AgentNode.StartAsync(start: false);
        var tag = "pull" + Names.Unique();
        var reference = await SharedRegistry.Instance.PushAsync(TestImages.Marked(tag), "lib/busybox", tag);

        var pull = await node.RunAsync("pull", reference);

        Assert.Equal(0, pull.ExitCode);
        Assert.Contains(reference, await node.Daemon.CtrAsync("images", "ls", "-q"), StringComparison.Ordinal);
        var missing = await node.RunAsync("pull", $"{SharedRegistry.Host}/lib/none:1");
        Assert.Equal(1, missing.ExitCode);
        Assert.Contains("not found", missing.Error, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task Declared_images_are_kept_and_pulled_again_when_removed()
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("images.yaml", $"""
            apiVersion: reconciler.dev/v1alpha1
            kind: NodeWorkload
            metadata: {"{"}name: keep{"}"}
            spec:
              images: [{"{"}image: "{SharedRegistry.Busybox}"{"}"}]
            """);
        await Eventually.UntilAsync(async () => (await node.Daemon.CtrAsync("images", "ls", "-q")).Contains(SharedRegistry.Busybox, StringComparison.Ordinal), "pulled");

        await node.Daemon.CtrAsync("images", "rm", "--sync", SharedRegistry.Busybox);

        await Eventually.UntilAsync(async () => (await node.Daemon.CtrAsync("images", "ls", "-q")).Contains(SharedRegistry.Busybox, StringComparison.Ordinal), "pulled again");
        await node.ConvergedAsync();
    }

    [Fact]
    public async Task Wrong_usage_is_exit_code_1_with_the_flag_named()
    {
        var bad = await Shell.RunAsync(AgentNode.Binary, ["agent", "--log-reserve", "7"]);
        Assert.Equal(1, bad.ExitCode);
        Assert.Contains("log-reserve", bad.Error, StringComparison.Ordinal);

        var version = await Shell.RunAsync(AgentNode.Binary, ["version"]);
        Assert.Equal(0, version.ExitCode);
        Assert.Contains("0.1.0", version.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task With_a_host_root_and_a_mount_namespace_of_its_own_the_agent_does_the_same_job()
    {
        await using var node = await AgentNode.StartAsync(start: false);
        using var shared = new TempFolder();
        await File.WriteAllTextAsync(shared["fact"], "from the host\n", TestContext.Current.CancellationToken);
        node.Declare("web.yaml", Manifest.Shell(
            "web",
            "cat /shared/fact; sleep 100000",
            $"volumes: [{{name: shared, hostPath: {{path: {shared.Path}, type: Directory}}}}]",
            "volumeMounts: [{name: shared, mountPath: /shared}]"));
        var host = Path.Combine(node.Folder, "host");
        Directory.CreateDirectory(host);

        // The host's root is seen under another path, as in a DaemonSet pod; the folder itself is hidden in this namespace.
        var script = "mount --rbind / \"$1\"; mount -t tmpfs none \"$2\"; shift 2; exec \"$@\"";
        using var agent = System.Diagnostics.Process.Start(Start(node, script, host, shared.Path))!;
        try
        {
            await node.RunningAsync("default-web-main");
            await Eventually.UntilAsync(async () => (await node.RunAsync("logs", "web")).Output == "from the host\n", "the container sees the host's file");
        }
        finally
        {
            agent.Kill();
            await agent.WaitForExitAsync(TestContext.Current.CancellationToken);
        }
    }

    private static System.Diagnostics.ProcessStartInfo Start(AgentNode node, string script, string host, string hidden)
    {
        var start = new System.Diagnostics.ProcessStartInfo(
            "unshare",
            ["-m", "--propagation", "private", "/bin/sh", "-c", script, "sh", host, hidden, AgentNode.Binary, "agent", "--manifests", node.Manifests, "--host-root", host]);
        foreach (var (key, value) in node.Environment(null)) start.Environment[key] = value;
        return start;
    }
}
