using System.Diagnostics;
using System.Text.Json.Nodes;
using Reconciler.Testing;
using Reconciler.Testing.Kubernetes;

namespace Reconciler.EndToEnd.Tests;

/// <summary>kubectl against a real API server on one side, containers of a real containerd on the other.</summary>
public sealed class KubernetesTests(ClusterFixture cluster) : IClassFixture<ClusterFixture>, IAsyncLifetime
{
    private readonly string _ns = "t" + Names.Unique();

    private ApiServer Api => cluster.Api;

    public async ValueTask InitializeAsync() => await Api.KubectlAsync("create", "namespace", _ns);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    /// <summary>samples/kubernetes/hello.yaml, with its image from the registry of the tests.</summary>
    [Fact]
    public async Task What_is_applied_runs_and_says_so_and_what_is_deleted_goes()
    {
        await using var node = await AgentNode.StartAsync(start: false);
        node.StartClusterAgent(await cluster.AgentKubeconfigAsync("node-1"));
        var sample = await File.ReadAllTextAsync(Path.Combine(Checkout.Root, "samples/kubernetes/hello.yaml"), TestContext.Current.CancellationToken);
        await Api.ApplyAsync(sample.Replace("docker.io/library/busybox:1.36", SharedRegistry.Busybox, StringComparison.Ordinal)
            .Replace("name: hello", $"name: hello\n  namespace: {_ns}", StringComparison.Ordinal));

        await Api.KubectlAsync("wait", "-n", _ns, "--for=condition=Ready", "nodeworkload/hello", "--timeout=90s");
        var task = await node.RunningAsync($"{_ns}-hello-main");
        var status = (await ObjectAsync("hello"))["status"]!;
        Assert.Equal(1, (int)status["observedGeneration"]!);
        Assert.Equal("Running", (string?)status["containers"]![0]!["state"]);
        Assert.StartsWith("sha256:", (string?)status["containers"]![0]!["imageID"], StringComparison.Ordinal);
        Assert.Equal(["Ready=True", "Reconciling=False", "Stalled=False"], Conditions(status));

        Signals.Send(task.Pid, Signals.Kill);
        await node.ReplacedAsync($"{_ns}-hello-main", task);
        await EventuallyStatusAsync("hello", s => (int?)s["containers"]?[0]?["restartCount"] == 1, "the restart is counted");

        await Api.KubectlAsync("delete", "-n", _ns, "nodeworkload/hello");
        await Eventually.UntilAsync(async () => (await node.ContainerIdsAsync()).Count == 0, $"the container is gone; the agent said:\n{node.Tail()}");
        string[] expected = ["Pulling", "Pulled", "Created", "Started", "Drifted"];
        await Eventually.UntilAsync(async () =>
        {
            var events = await Api.KubectlAsync("get", "events.events.k8s.io", "-n", _ns, "-o", "jsonpath={range .items[*]}{.reason} {end}");
            return expected.All(events.Split(' ').Contains);
        }, $"there are the events {string.Join(", ", expected)}");
    }

    [Fact]
    public async Task A_changed_object_replaces_its_container_and_a_suspended_one_stops_it()
    {
        await using var node = await AgentNode.StartAsync(start: false);
        node.StartClusterAgent(await cluster.AgentKubeconfigAsync("node-1"));
        await Api.ApplyAsync(Workload("web"));
        var first = await node.RunningAsync($"{_ns}-web-main");

        await Api.ApplyAsync(Workload("web", "201"));
        await node.ReplacedAsync($"{_ns}-web-main", first);
        await EventuallyStatusAsync("web", s => (int)s["observedGeneration"]! == 2 && Conditions(s)[0] == "Ready=True", "the second generation is ready");

        await Api.KubectlAsync("patch", "-n", _ns, "nodeworkload/web", "--type=merge", "-p", """{"spec":{"suspend":true}}""");
        await Eventually.UntilAsync(async () => (await node.TasksAsync()).Count == 0, "nothing of a suspended workload runs");
        await EventuallyStatusAsync("web", s => (string?)s["conditions"]![0]!["reason"] == "Suspended", "the status says Suspended");
        await Api.KubectlAsync("delete", "-n", _ns, "nodeworkload/web");
    }

    [Fact]
    public async Task An_object_that_only_the_node_can_refuse_is_stalled_with_the_reason()
    {
        await using var node = await AgentNode.StartAsync(start: false);
        node.StartClusterAgent(await cluster.AgentKubeconfigAsync("node-1"));
        await Api.ApplyAsync(Workload("noimage", image: $"{SharedRegistry.Host}/lib/absent:1"));
        await EventuallyStatusAsync("noimage", s => Conditions(s).Contains("Stalled=True"), "a missing image stalls");
        var stalled = (await ObjectAsync("noimage"))["status"]!["conditions"]!.AsArray().Single(c => (string?)c!["type"] == "Stalled")!;
        Assert.Contains("absent", (string?)stalled["message"], StringComparison.Ordinal);
        await Api.KubectlAsync("delete", "-n", _ns, "nodeworkload/noimage");
    }

    [Fact]
    public async Task The_folder_wins_over_the_cluster_and_each_takes_over_from_the_other_without_a_restart()
    {
        await using var node = await AgentNode.StartAsync(start: false);
        node.StartClusterAgent(await cluster.AgentKubeconfigAsync("node-1"), "--manifests", node.Manifests);
        await Api.ApplyAsync(Workload("web"));
        var task = await node.RunningAsync($"{_ns}-web-main");

        node.Declare("web.yaml", Workload("web"));
        await EventuallyStatusAsync("web", s => (string?)s["conditions"]![0]!["reason"] == "Overridden", "the object says that the folder wins");
        Assert.Equal(task, await node.OnlyRunningAsync($"{_ns}-web-main"));

        node.Withdraw("web.yaml");
        await EventuallyStatusAsync("web", s => Conditions(s)[0] == "Ready=True", "the cluster's object takes over");
        Assert.Equal(task, await node.OnlyRunningAsync($"{_ns}-web-main"));
        await Api.KubectlAsync("delete", "-n", _ns, "nodeworkload/web");
    }

    [Fact]
    public async Task Without_the_API_server_everything_goes_on_and_coming_back_it_restarts_nothing()
    {
        await using var api = await ClusterFixture.StartAsync();
        await using var node = await AgentNode.StartAsync(start: false);
        await api.KubectlAsync("create", "namespace", _ns);
        node.StartClusterAgent(await ClusterFixture.AgentKubeconfigAsync(api, "node-1"));
        await api.ApplyAsync(Workload("web"));
        await api.ApplyAsync(Workload("spare"));
        var web = await node.RunningAsync($"{_ns}-web-main");
        await node.RunningAsync($"{_ns}-spare-main");

        await api.StopAsync();
        Signals.Send(web.Pid, Signals.Kill);
        web = await node.ReplacedAsync($"{_ns}-web-main", web);

        // As after a reboot: nothing runs, no agent, no API server.
        await node.KillAgentAsync();
        foreach (var task in await node.TasksAsync()) Signals.Send(task.Pid, Signals.Kill);
        await Eventually.UntilAsync(async () => (await node.TasksAsync()).All(task => task.Status == "STOPPED"), "all containers ended");
        node.StartClusterAgent(await ClusterFixture.AgentKubeconfigAsync(api, "node-1"));
        web = await node.ReplacedAsync($"{_ns}-web-main", web);
        var spare = await node.RunningAsync($"{_ns}-spare-main");

        await api.StartAgainAsync();
        await ClusterFixture.UntilServedAsync(api);
        await api.KubectlAsync("delete", "-n", _ns, "nodeworkload/spare");
        await Eventually.UntilAsync(async () => (await node.ContainerIdsAsync()).All(id => id != spare.Id), $"the cluster is followed again; the agent said:\n{node.Tail()}");
        Assert.Equal(web, await node.OnlyRunningAsync($"{_ns}-web-main"));
    }

    [Fact]
    public async Task A_server_that_went_back_in_time_removes_nothing_until_someone_accepts_it()
    {
        await using var api = await ClusterFixture.StartAsync();
        await using var node = await AgentNode.StartAsync(start: false);
        await api.KubectlAsync("create", "namespace", _ns);
        node.StartClusterAgent(await ClusterFixture.AgentKubeconfigAsync(api, "node-1"));
        await api.ApplyAsync(Workload("kept"));
        await node.RunningAsync($"{_ns}-kept-main");
        await api.StopAsync();
        await Shell.OutputAsync("cp", "-a", api.DataFolder, api["backup"]);
        await api.StartAgainAsync();
        await ClusterFixture.UntilServedAsync(api);
        await api.ApplyAsync(Workload("lost"));
        var lost = await node.RunningAsync($"{_ns}-lost-main");

        await api.StopAsync();
        Directory.Delete(api.DataFolder, recursive: true);
        Directory.Move(api["backup"], api.DataFolder);
        await api.StartAgainAsync();
        await ClusterFixture.UntilServedAsync(api);
        await Eventually.UntilAsync(
            async () => (await ObjectAsync(api, "kept"))["status"]?["conditions"]?.AsArray().Any(condition => (string?)condition!["type"] == "SourceRegressed") == true,
            $"the object says that the server went back; the agent said:\n{node.Tail()}");
        Assert.Equal(lost, await node.OnlyRunningAsync($"{_ns}-lost-main"));

        await api.KubectlAsync("annotate", "lease", "-n", "reconciler-system", "node-1", "reconciler.dev/accept-data-loss=yes");
        await Eventually.UntilAsync(async () => (await node.ContainerIdsAsync()).All(id => id != lost.Id), $"what is lost goes; the agent said:\n{node.Tail()}");
        await node.RunningAsync($"{_ns}-kept-main");
        // Taken away after it was acted on.
        await Eventually.UntilAsync(
            async () => !(await api.KubectlAsync("get", "lease", "-n", "reconciler-system", "node-1", "-o", "yaml")).Contains("accept-data-loss", StringComparison.Ordinal), "the annotation is taken away");
    }

    [Fact]
    public async Task A_set_runs_on_the_nodes_that_it_matches_follows_its_template_and_goes()
    {
        await using var node = await AgentNode.StartAsync(start: false);
        await Api.ApplyAsync("""
            apiVersion: v1
            kind: Node
            metadata: {name: node-1, labels: {disk: ssd} }
            ---
            apiVersion: v1
            kind: Node
            metadata: {name: node-2, labels: {disk: hdd} }

            """);
        using var controller = cluster.StartController(await cluster.ControllerKubeconfigAsync());
        node.StartClusterAgent(await cluster.AgentKubeconfigAsync("node-1"));
        string Set(string seconds) => $"""
            apiVersion: reconciler.dev/v1alpha1
            kind: NodeWorkloadSet
            metadata: {"{"}name: tool, namespace: {_ns}{"}"}
            spec:
              nodeSelector: {"{"}matchLabels: {"{"}disk: ssd{"}"} {"}"}
              template:
                spec:
                  terminationGracePeriodSeconds: 1
                  containers:
                  - name: main
                    image: {SharedRegistry.Busybox}
                    command: [sleep, "{seconds}"]

            """;
        await Api.ApplyAsync(Set("100000"));
        await Api.KubectlAsync("wait", "-n", _ns, "--for=condition=Ready", "nodeworkloadset/tool", "--timeout=90s");
        var first = Assert.Single(await node.TasksAsync());
        Assert.Equal("1 1", await Api.KubectlAsync("get", "-n", _ns, "nodeworkloadset/tool", "-o", "jsonpath={.status.desiredNumberScheduled} {.status.numberReady}"));

        await Api.ApplyAsync(Set("200000"));
        await Eventually.UntilAsync(
            async () => (await node.TasksAsync()) is [{ Status: "RUNNING" } task] && task.Id != first.Id, $"the new template runs; the controller said:\n{controller.Log}");

        await Api.KubectlAsync("delete", "-n", _ns, "nodeworkloadset/tool", "--wait=false");
        await Eventually.UntilAsync(async () => (await node.ContainerIdsAsync()).Count == 0, $"nothing of the set is left; the controller said:\n{controller.Log}");
        await Eventually.UntilAsync(
            async () => (await Api.KubectlAsync("get", "nodeworkloads,nodeworkloadsets", "-n", _ns, "-o", "name")).Trim().Length == 0, $"set and child are gone; the controller said:\n{controller.Log}");
    }

    private string Workload(string name, string seconds = "100000", string? image = null) => $"""
        apiVersion: reconciler.dev/v1alpha1
        kind: NodeWorkload
        metadata: {"{"}name: {name}, namespace: {_ns}{"}"}
        spec:
          nodeName: node-1
          terminationGracePeriodSeconds: 1
          containers:
          - name: main
            image: {image ?? SharedRegistry.Busybox}
            command: [sleep, "{seconds}"]

        """;

    private Task<JsonNode> ObjectAsync(string name) => ObjectAsync(Api, name);

    private async Task<JsonNode> ObjectAsync(ApiServer api, string name) => JsonNode.Parse(await api.KubectlAsync("get", "-n", _ns, "nodeworkload", name, "-o", "json"))!;

    private Task EventuallyStatusAsync(string name, Func<JsonNode, bool> holds, string what) => Eventually.UntilAsync(
        async () => (await ObjectAsync(name))["status"] is { } status && status["conditions"] is not null && holds(status), what);

    /// <summary>In the order the agent writes them.</summary>
    private static List<string> Conditions(JsonNode status) =>
        [.. status["conditions"]!.AsArray().Select(condition => $"{(string?)condition!["type"]}={(string?)condition["status"]}")];
}

/// <summary>One API server with the project's CRDs for the tests of a class.</summary>
public sealed class ClusterFixture : IAsyncLifetime
{
    public ApiServer Api { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Api = await StartAsync();

    public ValueTask DisposeAsync() => Api.DisposeAsync();

    public Task<string> AgentKubeconfigAsync(string node) => AgentKubeconfigAsync(Api, node);

    public async Task<string> ControllerKubeconfigAsync() => await Api.KubeconfigForAsync(await Api.TokenForAsync("reconciler-system", "reconciler-controller"));

    public RunningController StartController(string kubeconfig, params string[] flags) => new(kubeconfig, Api[$"controller-{Names.Unique()}.log"], flags);

    /// <summary>As a pod of the DaemonSet on that node: the rights of manifests/ and nothing else.</summary>
    public static async Task<string> AgentKubeconfigAsync(ApiServer api, string node) =>
        await api.KubeconfigForAsync(await api.TokenForAsync("reconciler-system", "reconciler-agent", node));

    /// <summary>A server with what <c>kubectl apply -k manifests/base</c> installs.</summary>
    public static async Task<ApiServer> StartAsync()
    {
        var api = await ApiServer.StartAsync();
        await api.KubectlAsync("apply", "-k", Path.GetFullPath(Path.Combine(Path.GetDirectoryName(AgentNode.Binary)!, "../../manifests/base")));
        await UntilServedAsync(api);
        return api;
    }

    /// <summary>After its definition and after a start of the server a kind is not served for a moment.</summary>
    public static Task UntilServedAsync(ApiServer api) => Eventually.UntilAsync(
        async () => (await api.TryKubectlAsync(api.Kubeconfig, "get", "nodeworkloads,nodeworkloadsets", "-A")).ExitCode == 0, "our kinds are served");
}

/// <summary>The binary as a controller.</summary>
public sealed class RunningController : IDisposable
{
    private readonly Process _process;
    private readonly string _log;

    public RunningController(string kubeconfig, string log, params string[] flags)
    {
        _log = log;
        _process = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", "log=$0; exec \"$@\" 2>>\"$log\" >&2 </dev/null", log, AgentNode.Binary, "controller", "--kubeconfig", kubeconfig, .. flags]))!;
    }

    public string Log => File.Exists(_log) ? File.ReadAllText(_log) : "";

    public void Dispose()
    {
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }
}
