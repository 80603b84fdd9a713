using Reconciler.Testing;

namespace Reconciler.EndToEnd.Tests;

public sealed class BadInputTests
{
    [Fact]
    public async Task A_broken_file_keeps_its_last_good_version_running_also_over_an_agent_restart()
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("web.yaml", Manifest.Sleepers("web", "one"));
        var one = await node.RunningAsync("default-web-one");
        await node.ConvergedAsync();

        node.Declare("web.yaml", "apiVersion: [");
        await Eventually.UntilAsync(() => node.AgentLog.Contains("web.yaml:1", StringComparison.Ordinal), "the log names file and line");
        await node.KillAgentAsync();
        Signals.Send(one.Pid, Signals.Kill);
        node.StartAgent();

        var two = await node.ReplacedAsync("default-web-one", one); // the last good document is known after the restart, too
        node.Withdraw("web.yaml");
        await Eventually.UntilAsync(async () => (await node.ContainerIdsAsync()).Count == 0, $"deleting the broken file removes {two.Id}");
    }

    [Fact]
    public async Task A_state_dir_that_cannot_be_written_is_one_line_with_the_remedy()
    {
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["ro"]);
        Directory.CreateDirectory(folder["manifests"]);
        await Shell.OutputAsync("mount", "-t", "tmpfs", "-o", "ro", "none", folder["ro"]);

        var agent = await Shell.RunAsync(AgentNode.Binary, ["agent", "--manifests", folder["manifests"], "--state-dir", folder["ro/state"], "--metrics-address", "none"]);

        Assert.Equal(1, agent.ExitCode);
        var line = Assert.Single(agent.Error.Split('\n'), line => line.StartsWith("reconciler: ", StringComparison.Ordinal));
        Assert.Contains($"--state-dir {folder["ro/state"]} cannot be written, give --state-dir a folder on a disk that can be written: Read-only file system", line, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_missing_folder_is_a_doubt_and_an_empty_one_a_wish()
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("web.yaml", Manifest.Sleepers("web", "one"));
        var one = await node.RunningAsync("default-web-one");

        Directory.Move(node.Manifests, node.Manifests + ".away");
        await Eventually.UntilAsync(() => node.AgentLog.Contains("does not exist", StringComparison.Ordinal), "the log says that the folder is missing");
        await node.KillAgentAsync();
        node.StartAgent();
        await Eventually.UntilAsync(() => node.AgentLog.Split("READY").Length == 3, "the next agent is ready");
        Assert.Equal(one, await node.RunningAsync("default-web-one"));

        Directory.CreateDirectory(node.Manifests);

        await Eventually.UntilAsync(async () => (await node.ContainerIdsAsync()).Count == 0, "an empty folder is a wish for nothing");
    }

    [Fact]
    public async Task Two_files_with_one_identity_are_named_and_the_running_one_stays()
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("a.yaml", Manifest.Sleepers("web", "one=a"));
        var one = await node.RunningAsync("default-web-one");

        node.Declare("b.yaml", Manifest.Sleepers("web", "one=b"));
        await Eventually.UntilAsync(
            () => node.AgentLog.Split('\n').Any(line => line.Contains("a.yaml", StringComparison.Ordinal) && line.Contains("b.yaml", StringComparison.Ordinal)),
            "both files are named");

        Assert.Equal(one, await node.RunningAsync("default-web-one"));
        var validate = await node.RunAsync("validate", "-f", node.Manifests);
        Assert.Equal(1, validate.ExitCode);
    }

    [Fact]
    public async Task Good_documents_apply_beside_a_refused_one_and_validate_says_where()
    {
        await using var node = await AgentNode.StartAsync();
        var bad = Manifest.Sleepers("bad", "one").Replace("command:", "comand:", StringComparison.Ordinal);
        node.Declare("mixed.yaml", Manifest.Sleepers("good", "one") + "---\n" + bad);

        await node.RunningAsync("default-good-one");
        var line = (Manifest.Sleepers("good", "one") + "---\n" + bad).Split('\n').ToList().FindIndex(text => text.Contains("comand", StringComparison.Ordinal)) + 1;
        var validate = await node.RunAsync("validate", "-f", node.Manifests);

        Assert.Equal(1, validate.ExitCode);
        Assert.Contains($"mixed.yaml:{line}: spec.containers[0].comand", validate.Output + validate.Error, StringComparison.Ordinal);
        Assert.Single(await node.ContainerIdsAsync());
    }

    [Theory]
    [InlineData("command: [/no/such/program]", "")]
    [InlineData("command: [sleep, \"9\"]\nsecurityContext: {runAsUser: 1}\nvolumeMounts: [{name: v, mountPath: /v}]", "volumes: [{name: v, hostPath: {path: /no/such/folder, type: Directory}}]")]
    public async Task What_cannot_start_has_a_reason_and_leaks_nothing(string container, string spec)
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("bad.yaml", Manifest.Container("bad", spec, container));

        var row = await Eventually.GetAsync(
            async () => (await node.ContainersAsync()).FirstOrDefault(item => !string.IsNullOrEmpty((string?)item["message"])),
            "a reason is given");

        Assert.False((bool?)row["ready"]);
        Assert.Contains("/no/such/", (string?)row["message"], StringComparison.Ordinal);
        node.Withdraw("bad.yaml");
        await Eventually.UntilAsync(
            async () => (await node.ContainerIdsAsync()).Count == 0 && Testing.Containerd.Leftovers.ShimsOf(node.Daemon.Address).Count == 0,
            "nothing is left");
        Assert.DoesNotContain("default-bad", await node.Daemon.CtrAsync("snapshots", "ls"), StringComparison.Ordinal);
    }
}
