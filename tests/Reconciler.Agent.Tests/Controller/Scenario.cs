using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Reconciler.Agent.Cluster;
using Reconciler.Agent.Controller;
using Reconciler.Agent.Hosting;
using Reconciler.Sources.Kubernetes;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.Controller;

/// <summary>One test's part of the cluster: a namespace, nodes with a label of their own, and the agents of these nodes, played by the test.</summary>
internal sealed class Scenario : IAsyncDisposable
{
    private static readonly CancellationToken Cancel = TestContext.Current.CancellationToken;

    private readonly ControllerCluster _cluster;
    private readonly ClusterClient _admin;
    private readonly string _label = Names.Unique();
    private readonly List<RunningController> _controllers = [];
    private readonly System.Collections.Concurrent.ConcurrentDictionary<int, bool> _nodes = [];
    private readonly StringWriter _log = new();
    private readonly CancellationTokenSource _end = CancellationTokenSource.CreateLinkedTokenSource(Cancel);
    private Task _agents = Task.CompletedTask;

    private Scenario(ControllerCluster cluster) => (_cluster, _admin) = (cluster, cluster.Open("test"));

    public string Namespace { get; } = "t" + Names.Unique();

    public static async Task<Scenario> StartAsync(ControllerCluster cluster, int nodes)
    {
        var scenario = new Scenario(cluster);
        await scenario.PostAsync("api/v1/namespaces", $$$"""{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"{{{scenario.Namespace}}}"} }""");
        for (var node = 0; node < nodes; node++) await scenario.AddNodeAsync(node);
        return scenario;
    }

    public string Node(int node) => $"{_label}-{node}";

    public string ChildName(string set, int node) => ChildNames.Of(set, Node(node));

    public async Task AddNodeAsync(int node)
    {
        _nodes[node] = true;
        await PostAsync("api/v1/nodes", $$$"""{"apiVersion":"v1","kind":"Node","metadata":{"name":"{{{Node(node)}}}","labels":{"test":"{{{_label}}}"} } }""");
    }

    public async Task ChangeNodeAsync(int node, string merge)
    {
        using var changed = await _admin.PatchAsync($"api/v1/nodes/{Node(node)}", Encoding.UTF8.GetBytes(merge), "application/merge-patch+json", Cancel);
    }

    public async Task RemoveNodeAsync(int node)
    {
        using var removed = await _admin.DeleteAsync($"api/v1/nodes/{Node(node)}", "{}"u8.ToArray(), Cancel);
        _nodes.TryRemove(node, out _);
    }

    /// <param name="name">Of the set.</param>
    /// <param name="image">Of its only container.</param>
    /// <param name="spec">JSON members of spec beside selector and template.</param>
    /// <param name="template">JSON of the whole template; null = one container with the image.</param>
    public async Task ApplySetAsync(string name = "web", string image = "example.org/app:1", string spec = "", string? template = null)
    {
        template ??= $$$"""{"spec":{"containers":[{"name":"main","image":"{{{image}}}"}]}}""";
        var body = $$$"""
            {"apiVersion":"reconciler.dev/v1alpha1","kind":"NodeWorkloadSet","metadata":{"name":"{{{name}}}","namespace":"{{{Namespace}}}"},
             "spec":{"nodeSelector":{"matchLabels":{"test":"{{{_label}}}"} },"template":{{{template}}}{{{(spec.Length > 0 ? "," + spec : "")}}} } }
            """;
        using var applied = await _admin.ApplyAsync(SetPath(name), Encoding.UTF8.GetBytes(body), Cancel);
    }

    public async Task DeleteSetAsync(string name = "web")
    {
        using var deleted = await _admin.DeleteAsync(SetPath(name), "{}"u8.ToArray(), Cancel);
    }

    public async Task<JsonElement> SetAsync(string name = "web")
    {
        using var found = await _admin.GetAsync(SetPath(name), Cancel);
        return found.RootElement.Clone();
    }

    public async Task<List<JsonElement>> ChildrenAsync()
    {
        using var list = await _admin.GetAsync($"apis/reconciler.dev/v1alpha1/namespaces/{Namespace}/nodeworkloads", Cancel);
        return [.. list.RootElement.GetProperty("items").EnumerateArray().Select(item => item.Clone()).OrderBy(NodeOf, StringComparer.Ordinal)];
    }

    public async Task<JsonElement?> ChildAsync(int node, string set = "web")
    {
        var name = ChildName(set, node);
        foreach (var child in await ChildrenAsync())
            if (child.GetProperty("metadata").GetProperty("name").GetString() == name)
                return child;
        return null;
    }

    public async Task PatchChildAsync(int node, string merge, string set = "web")
    {
        using var changed = await _admin.PatchAsync(ChildPath(ChildName(set, node)), Encoding.UTF8.GetBytes(merge), "application/merge-patch+json", Cancel);
    }

    public async Task PostChildAsync(string json)
    {
        await PostAsync($"apis/reconciler.dev/v1alpha1/namespaces/{Namespace}/nodeworkloads", json);
    }

    public async Task DeleteChildAsync(int node, string set = "web")
    {
        using var deleted = await _admin.DeleteAsync(ChildPath(ChildName(set, node)), "{}"u8.ToArray(), Cancel);
    }

    public async Task<string> EventsAsync()
    {
        using var events = await _admin.GetAsync($"apis/events.k8s.io/v1/namespaces/{Namespace}/events", Cancel);
        return events.RootElement.GetRawText();
    }

    /// <summary>What the agent of a child's node says after it has done what the child asks for.</summary>
    public async Task AnswerAsync(JsonElement child)
    {
        var metadata = child.GetProperty("metadata");
        var generation = metadata.GetProperty("generation").GetInt64();
        var type = metadata.TryGetProperty("deletionTimestamp", out _) ? "Stopped" : "Ready";
        var body = $$$"""
            {"apiVersion":"reconciler.dev/v1alpha1","kind":"NodeWorkload","status":{"observedGeneration":{{{generation}}},
             "conditions":[{"type":"{{{type}}}","status":"True","reason":"Test","message":"","lastTransitionTime":"2026-01-01T00:00:00Z","observedGeneration":{{{generation}}}}]}}
            """;
        try
        {
            var path = ChildPath(metadata.GetProperty("name").GetString()!) + "/status?fieldManager=reconciler-agent&force=true";
            using var answered = await _admin.PatchAsync(path, Encoding.UTF8.GetBytes(body), ClusterClient.Apply, Cancel);
        }
        catch (ClusterException e) when (e.IsNotFound || e.IsConflict)
        {
            // It went, or changed, in this moment.
        }
    }

    /// <summary>The agents of all nodes answer from now on.</summary>
    public void RunAgents() => _agents = Task.Run(async () =>
    {
        while (!_end.IsCancellationRequested)
        {
            try
            {
                foreach (var child in await ChildrenAsync())
                    if (!IsAnswered(child))
                        await AnswerAsync(child);
            }
            catch (ClusterException e) when (IsPassing(e))
            {
            }
            await Task.Delay(TimeSpan.FromMilliseconds(30), TimeProvider.System, _end.Token);
        }
    }, _end.Token);

    public RunningController StartController(TimeProvider? time = null)
    {
        var election = new ElectionOptions { Namespace = ControllerCluster.Namespace, Identity = Names.Unique(), RetryPeriod = TimeSpan.FromMilliseconds(200) };
        var controller = new RunningController(_cluster.OpenController(), ControllerCluster.Namespace, election, time ?? TimeProvider.System, TextWriter.Synchronized(_log));
        _controllers.Add(controller);
        return controller;
    }

    public async Task UntilAsync(Func<Task<bool>> condition, string what)
    {
        try
        {
            await Eventually.UntilAsync(() => HoldsAsync(condition), what);
        }
        catch (TimeoutException e)
        {
            throw new TimeoutException($"{e.Message}; the controller said:\n{_log}", e);
        }
    }

    private async Task<bool> HoldsAsync(Func<Task<bool>> condition)
    {
        if (_agents.IsFaulted) await _agents;
        foreach (var controller in _controllers) await controller.ThrowIfFailedAsync();
        try
        {
            return await condition();
        }
        catch (ClusterException e) when (IsPassing(e))
        {
            return false;
        }
    }

    private static bool IsPassing(ClusterException e) => e.Status is 0 or 404 or 429 or >= 500; // 404: while the server starts it does not know our kinds

    /// <summary>The set's controller has seen its last change and says Ready.</summary>
    public Task ReadyAsync(string set = "web") => UntilAsync(async () =>
    {
        var found = await SetAsync(set);
        return found.GetProperty("status").GetProperty("observedGeneration").GetInt64() == found.GetProperty("metadata").GetProperty("generation").GetInt64()
            && Condition(found, "Ready") is { IsTrue: true };
    }, $"set {set} is ready");

    public static ObjectCondition? Condition(JsonElement found, string type) => ObjectCondition.ReadAll(found.Find("status")).FirstOrDefault(condition => condition.Type == type);

    public static string NodeOf(JsonElement child) => child.GetProperty("spec").GetProperty("nodeName").GetString()!;

    public static string RevisionOf(JsonElement child) => child.GetProperty("spec").GetProperty("revision").GetString()!;

    public static string VersionOf(JsonElement found) => found.GetProperty("metadata").GetProperty("resourceVersion").GetString()!;

    public static bool IsAnswered(JsonElement child)
    {
        var generation = child.GetProperty("metadata").GetProperty("generation").GetInt64();
        var type = child.GetProperty("metadata").TryGetProperty("deletionTimestamp", out _) ? "Stopped" : "Ready";
        return Condition(child, type) is { IsTrue: true } condition && condition.ObservedGeneration == generation;
    }

    /// <summary>Leaves nothing that a later test's controller would work on.</summary>
    public async ValueTask DisposeAsync()
    {
        foreach (var controller in _controllers) await controller.DisposeAsync();
        await _end.CancelAsync();
        await ((Task)_agents).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _end.Dispose();
        await _cluster.Api.KubectlAsync("delete", "nodeworkloadsets", "--all", "-n", Namespace, "--wait=false");
        foreach (var child in await ChildrenAsync())
        {
            var path = ChildPath(child.GetProperty("metadata").GetProperty("name").GetString()!);
            using var released = await _admin.PatchAsync(path, """{"metadata":{"finalizers":null}}"""u8.ToArray(), "application/merge-patch+json", CancellationToken.None);
        }
        await _cluster.Api.KubectlAsync("delete", "nodeworkloads", "--all", "-n", Namespace, "--wait=false");
        foreach (var node in _nodes.Keys) await _cluster.Api.KubectlAsync("delete", "node", Node(node), "--wait=false");
        _admin.Dispose();
    }

    private async Task PostAsync(string path, string json)
    {
        using var posted = await _admin.PostAsync(path, Encoding.UTF8.GetBytes(json), Cancel);
    }

    private string SetPath(string name) => $"apis/reconciler.dev/v1alpha1/namespaces/{Namespace}/nodeworkloadsets/{name}";

    private string ChildPath(string name) => $"apis/reconciler.dev/v1alpha1/namespaces/{Namespace}/nodeworkloads/{name}";
}

/// <summary>A controller in this process.</summary>
internal sealed class RunningController : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly ClusterClient _client;
    private readonly ILoggerFactory _loggers;
    private readonly Task _run;

    public RunningController(ClusterClient client, string leaseNamespace, ElectionOptions election, TimeProvider time, TextWriter log)
    {
        _client = client;
        _loggers = LoggerFactory.Create(builder => builder.SetMinimumLevel(LogLevel.Debug).AddProvider(new StderrLog(log, TimeProvider.System, LogLevel.Debug, false)));
        _run = new ControllerService(client, leaseNamespace, election, time, _loggers, _loggers.CreateLogger<ControllerService>()).RunAsync(_stop.Token);
    }

    public async Task ThrowIfFailedAsync()
    {
        if (_run.IsFaulted) await _run;
    }

    public async ValueTask DisposeAsync()
    {
        if (_stop.IsCancellationRequested) return;
        await _stop.CancelAsync();
        await _run;
        _stop.Dispose();
        _client.Dispose();
        _loggers.Dispose();
    }
}
