using Reconciler.Testing;
using Reconciler.Testing.Images;

namespace Reconciler.EndToEnd.Tests;

public sealed class MainJobTests
{
    [Fact]
    [Trait("containerd", "every")]
    public async Task A_folder_becomes_running_containers_and_a_killed_process_is_replaced_alone()
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("web.yaml", Manifest.Sleepers("web", "one", "two"));
        var one = await node.RunningAsync("default-web-one");
        var two = await node.RunningAsync("default-web-two");

        Signals.Send(one.Pid, Signals.Kill);

        var next = await node.ReplacedAsync("default-web-one", one);
        Assert.NotEqual(one.Pid, next.Pid);
        Assert.Equal(two, await node.RunningAsync("default-web-two"));
        await node.ConvergedAsync();
        var row = Assert.Single(await node.ContainersAsync(), item => (string?)item["container"] == "one");
        Assert.Equal("Running", (string?)row["state"]);
        Assert.Equal(1, (int?)row["restarts"]);
    }

    [Fact]
    [Trait("containerd", "every")]
    public async Task Changing_one_container_leaves_its_siblings_running()
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("web.yaml", Manifest.Sleepers("web", "one=a", "two=a"));
        var one = await node.RunningAsync("default-web-one");
        var two = await node.RunningAsync("default-web-two");

        node.Declare("web.yaml", Manifest.Sleepers("web", "one=b", "two=a"));

        await node.ReplacedAsync("default-web-one", one);
        await node.ConvergedAsync();
        Assert.Equal(two, await node.RunningAsync("default-web-two"));
        Assert.Equal(2, (await node.ContainerIdsAsync()).Count);
    }

    [Fact]
    public async Task Moving_a_document_to_another_file_restarts_nothing()
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("a.yaml", Manifest.Sleepers("web", "one"));
        var one = await node.RunningAsync("default-web-one");

        Directory.CreateDirectory(Path.Combine(node.Manifests, "sub"));
        File.Move(Path.Combine(node.Manifests, "a.yaml"), Path.Combine(node.Manifests, "sub/b.yaml"));

        await Eventually.UntilAsync(
            async () => (await node.Daemon.CtrAsync("containers", "info", one.Id)).Contains("/sub/b.yaml", StringComparison.Ordinal),
            "the source label follows");
        Assert.Equal(one, await node.RunningAsync("default-web-one"));
    }

    [Fact]
    [Trait("containerd", "every")]
    public async Task Removing_the_file_stops_with_the_signal_and_leaves_nothing()
    {
        await using var node = await AgentNode.StartAsync();
        using var seen = new TempFolder();
        // A grace that no stall outlasts: the script shall answer the signal, not be killed.
        node.Declare("web.yaml", Manifest.Shell(
            "web",
            "trap 'echo term > /seen/signal; exit 0' TERM; echo up > /seen/up; while :; do sleep 1 & wait $!; done",
            $"volumes:\n- name: seen\n  hostPath: {{path: {seen.Path}, type: Directory}}\n- name: scratch\n  emptyDir: {{}}",
            "volumeMounts:\n- {name: seen, mountPath: /seen}\n- {name: scratch, mountPath: /scratch}")
            .Replace("terminationGracePeriodSeconds: 1\n", "terminationGracePeriodSeconds: 80\n", StringComparison.Ordinal));
        await Eventually.UntilAsync(() => File.Exists(seen["up"]), "the script has set its trap");

        node.Withdraw("web.yaml");

        await Eventually.UntilAsync(async () => (await node.ContainerIdsAsync()).Count == 0, "the record is gone");
        Assert.Equal("term\n", await File.ReadAllTextAsync(seen["signal"], TestContext.Current.CancellationToken));
        Assert.Empty(await node.TasksAsync());
        Assert.DoesNotContain("default-web", await node.Daemon.CtrAsync("snapshots", "ls"), StringComparison.Ordinal);
        await Eventually.UntilAsync(
            () => !Directory.Exists(Path.Combine(node.StateDir, "volumes/default/web")) && Testing.Containerd.Leftovers.ShimsOf(node.Daemon.Address).Count == 0,
            "emptyDir and shim are gone");
    }

    [Fact]
    public async Task Suspend_stops_and_resume_starts()
    {
        await using var node = await AgentNode.StartAsync();
        var yaml = Manifest.Shell("job", "sleep 100000");
        node.Declare("job.yaml", yaml);
        await node.RunningAsync("default-job-main");

        node.Declare("job.yaml", yaml.Replace("spec:\n", "spec:\n  suspend: true\n", StringComparison.Ordinal));
        await Eventually.UntilAsync(async () => (await node.TasksAsync()).Count == 0, "suspended");

        node.Declare("job.yaml", yaml);
        await node.RunningAsync("default-job-main");
    }

    [Theory]
    [InlineData("Never", 0, "Completed")]
    [InlineData("Never", 3, "Error")]
    [InlineData("OnFailure", 0, "Completed")]
    public async Task What_may_not_be_restarted_stays_down_with_its_exit_code(string policy, int code, string reason)
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("job.yaml", Manifest.Shell("job", $"exit {code}", $"restartPolicy: {policy}"));

        var row = await Eventually.GetAsync(
            async () => (await node.ContainersAsync()).FirstOrDefault(item => (string?)item["reason"] == reason && (int?)item["exitCode"] is not null),
            $"the exit is recorded as {reason}");

        Assert.Equal("Exited", (string?)row["state"]);
        Assert.Equal(code, (int?)row["exitCode"]);
        Assert.Equal(0, (int?)row["restarts"]);
        await node.ConvergedAsync();
    }

    [Fact]
    public async Task A_failing_container_is_restarted_with_backoff_and_a_changed_spec_resets_it()
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("bad.yaml", Manifest.Shell("bad", "exit 7", "restartPolicy: OnFailure"));
        await Eventually.UntilAsync(
            async () => (await node.ContainersAsync()).Any(item => (int?)item["restarts"] >= 2 && (string?)item["reason"] == "CrashLoopBackOff"),
            "it backs off");

        node.Declare("bad.yaml", Manifest.Shell("bad", "sleep 100000", "restartPolicy: OnFailure"));

        await node.RunningAsync("default-bad-main");
    }

    [Fact]
    public async Task An_out_of_memory_kill_is_told_from_other_exits()
    {
        await using var node = await AgentNode.StartAsync();
        // tail keeps the endless line in memory until the kernel kills it
        node.Declare("oom.yaml", Manifest.Shell("oom", "exec tail /dev/zero", "restartPolicy: Never", "resources: {limits: {memory: 24Mi}}"));

        var row = await Eventually.GetAsync(
            async () => (await node.ContainersAsync()).FirstOrDefault(item => (string?)item["reason"] == "OOMKilled" && (int?)item["exitCode"] is not null),
            "it is killed");

        Assert.Equal(137, (int?)row["exitCode"]);
    }

    [Fact]
    public async Task EmptyDir_survives_restarts_and_changed_specs_and_the_root_file_system_does_not()
    {
        await using var node = await AgentNode.StartAsync();
        const string script = "ls /kept /tmp; touch /kept/a /tmp/b; sleep 100000";
        const string volumes = "volumes:\n- name: kept\n  emptyDir: {}";
        const string mounts = "volumeMounts: [{name: kept, mountPath: /kept}]";
        node.Declare("v.yaml", Manifest.Shell("v", script, volumes, mounts));
        var first = await node.RunningAsync("default-v-main");
        await Eventually.UntilAsync(() => File.Exists(Path.Combine(node.StateDir, "volumes/default/v/kept/a")), "the file is written");

        node.Declare("v.yaml", Manifest.Shell("v", script + " ; true", volumes, mounts));

        await node.ReplacedAsync("default-v-main", first);
        await Eventually.UntilAsync(
            async () => (await node.RunAsync("logs", "v")).Output.Replace("\r", "", StringComparison.Ordinal) is var text
                && text.Contains("/kept:\na\n", StringComparison.Ordinal) && !text.Contains("b\n", StringComparison.Ordinal),
            "the second sees the volume's file and a fresh /tmp");
    }

    [Fact]
    public async Task A_set_is_expanded_against_the_nodes_labels()
    {
        await using var node = await AgentNode.StartAsync(start: false);
        node.Declare("set.yaml", $$$"""
            apiVersion: reconciler.dev/v1alpha1
            kind: NodeWorkloadSet
            metadata: {name: here}
            spec:
              nodeSelector: {matchLabels: {disk: ssd}}
              template:
                spec:
                  containers: [{name: main, image: {{{SharedRegistry.Busybox}}}, command: [sleep, "1000"]}]
            ---
            apiVersion: reconciler.dev/v1alpha1
            kind: NodeWorkloadSet
            metadata: {name: elsewhere}
            spec:
              nodeSelector: {matchLabels: {disk: tape}}
              template:
                spec:
                  containers: [{name: main, image: {{{SharedRegistry.Busybox}}}, command: [sleep, "1000"]}]
            """);
        node.StartAgent(null, "--node-labels", "disk=ssd");

        await node.RunningAsync("default-here");
        Assert.Single(await node.ContainerIdsAsync());
    }

    [Fact]
    public async Task Drift_is_corrected_and_strangers_are_left_alone()
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("web.yaml", Manifest.Sleepers("web", "one"));
        var one = await node.RunningAsync("default-web-one");
        await node.Daemon.CtrAsync("run", "-d", "--null-io", SharedRegistry.Busybox, "stranger", "sleep", "100000");

        await DeleteTaskAsync(one);
        var two = await node.ReplacedAsync("default-web-one", one);
        await node.Daemon.CtrAsync("tasks", "kill", "-s", "9", two.Id);
        var three = await node.ReplacedAsync("default-web-one", two);
        await DeleteTaskAsync(three);
        await node.Daemon.CtrAsync("images", "rm", SharedRegistry.Busybox);

        await node.ReplacedAsync("default-web-one", three);
        await Eventually.UntilAsync(
            async () => (await node.Daemon.CtrAsync("images", "ls", "-q")).Contains(SharedRegistry.Busybox, StringComparison.Ordinal),
            "the image is pulled again");
        Assert.Contains(await node.TasksAsync(), task => task is { Id: "stranger", Status: "RUNNING" });

        // ctr kills, waits and deletes; between the last two the agent may already have deleted what ended.
        async Task DeleteTaskAsync(RunningTask task)
        {
            try
            {
                await node.Daemon.CtrAsync("tasks", "delete", "-f", task.Id);
            }
            catch (InvalidOperationException e) when (e.Message.Contains("not found", StringComparison.Ordinal))
            {
                // the agent was first
            }
        }
    }

    [Fact]
    public async Task A_new_image_is_pulled_before_the_old_container_stops()
    {
        await using var node = await AgentNode.StartAsync();
        var yaml = Manifest.Sleepers("web", "one");
        node.Declare("web.yaml", yaml);
        var one = await node.RunningAsync("default-web-one");

        // Not there yet: the old one must go on.
        var tag = "later" + Names.Unique();
        node.Declare("web.yaml", yaml.Replace("busybox:1", "busybox:" + tag, StringComparison.Ordinal));
        await Eventually.UntilAsync(
            async () => (await node.ContainersAsync()).Any(item => (string?)item["reason"] == "ImageNotFound"),
            "the missing image is reported");
        Assert.Equal(one, await node.RunningAsync("default-web-one"));

        await SharedRegistry.Instance.PushAsync(TestImages.Marked(tag), "lib/busybox", tag);

        await node.ReplacedAsync("default-web-one", one);
    }
}
