using System.Globalization;
using System.Text;
using System.Text.Json;
using Reconciler.Agent.Cluster;
using Reconciler.Agent.Hosting;
using Reconciler.Agent.Tests.Controller;
using Reconciler.Core.Model;
using Reconciler.Sources.Kubernetes;
using Reconciler.Testing;
using Reconciler.Testing.Fakes;
using Reconciler.Testing.Kubernetes;

namespace Reconciler.Agent.Tests.Cluster;

/// <summary>A real API server behind faults, an agent on a fake node, and a model of what was declared and of what may have been touched for it.</summary>
internal sealed partial class FaultyCluster : IAsyncDisposable
{
    private const string Image = "example.org/app:1";
    private const string StopFinalizer = "reconciler.dev/stop";
    private const int Versions = 3;
    private const int Tail = 6000;

    private static readonly string[] Moving = ["w0", "w1", "w2", "w3", "w4"];
    private static readonly string[] Still = ["still0", "still1"];
    private static readonly CancellationToken Cancel = TestContext.Current.CancellationToken;

    private readonly string _ns = "t" + Names.Unique();
    private readonly string _node;
    private readonly ControllerCluster _cluster;
    private readonly Random _random;
    private readonly FaultProxy _proxy;
    private readonly ClusterClient _admin;
    private readonly TempFolder _folder = new();
    private readonly TimeProvider _time;
    private readonly FakeNode _fake;
    private readonly Ledger _ledger = new();
    private readonly StringWriter _log = new();
    private readonly StringBuilder _history = new();
    private readonly Dictionary<string, Declared> _declared = [];
    private readonly HashSet<string> _deleting = [];
    private readonly Dictionary<string, (int Starts, int Stops)> _causes = [];
    private ClusterAgent _agent;
    private int _labels;

    /// <param name="Version">Argument of the only container.</param>
    /// <param name="Held">By the finalizer, until the agent says that it has stopped it.</param>
    private sealed record Declared(int Version, bool Held);

    private FaultyCluster(ControllerCluster cluster, Random random, string node, string token)
    {
        (_cluster, _random, _node) = (cluster, random, node);
        _proxy = new FaultProxy(cluster.Api, token);
        _admin = cluster.Open("test");
        var hours = random.Next(-6, 7);
        Say($"the agent's clock is {hours} h off");
        _time = new OddTime(TimeSpan.FromHours(hours));
        _fake = new FakeNode(_time);
        _fake.Registry[Image] = "sha256:1";
        _agent = StartAgent();
    }

    /// <summary>What was done, and the end of what the agent said.</summary>
    public string Story => $"{End(_history.ToString())}\nthe agent said:\n{End(_log.ToString())}";

    public static async Task<FaultyCluster> StartAsync(ControllerCluster cluster, Random random)
    {
        var node = "n" + Names.Unique();
        var token = await cluster.Api.TokenForAsync(ControllerCluster.Namespace, "reconciler-agent", node);
        var faulty = new FaultyCluster(cluster, random, node, token);
        try
        {
            using var made = await faulty._admin.PostAsync(
                "api/v1/namespaces", Encoding.UTF8.GetBytes($$$"""{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"{{{faulty._ns}}}"} }"""), Cancel);
            foreach (var name in Still) await faulty.DeclareAsync(name, new Declared(0, false));
            return faulty;
        }
        catch
        {
            await faulty.DisposeAsync();
            throw;
        }
    }

    /// <summary>Each fault once, in random order, while random things are declared; in between the server and the agent are killed once.</summary>
    public async Task TurnAsync()
    {
        var faults = Enum.GetValues<LinkFault>().Where(fault => fault != LinkFault.None).ToArray();
        _random.Shuffle(faults);
        var (server, agent, followed) = (_random.Next(faults.Length), _random.Next(faults.Length), true);
        for (var i = 0; i < faults.Length; i++)
        {
            Say($"fault {faults[i]}");
            _proxy.Set(faults[i]);
            await ChangeAsync(1 + _random.Next(4));
            await UntilMetAsync(faults[i]);
            if (i == agent) await RestartAgentAsync();
            _proxy.Set(LinkFault.None);
            if (i == server) await RestartServerAsync();
            await ChangeAsync(_random.Next(3));
            // Two faults may follow each other at once, but not more: the agent waits twice as long each time.
            followed = !followed || i == server || i == agent || _random.Next(4) > 0;
            if (followed) await Eventually.UntilAsync(() => _agent.View.Doubt.Length == 0, $"the agent follows the server after {faults[i]}");
        }
    }

    /// <summary>Without faults and changes the node becomes what a fresh list says, and nothing was done that nobody asked for.</summary>
    public async Task SettleAsync()
    {
        Say("quiet");
        string? difference = "";
        try
        {
            await Eventually.UntilAsync(async () => (difference = await DifferenceAsync()) is null, "the node is as a fresh list says");
        }
        catch (TimeoutException e)
        {
            throw new TimeoutException($"{e.Message}; {difference}", e);
        }
        Assert.Empty(_ledger.Violations);
        Assert.Empty(_fake.Violations);
        foreach (var (name, causes) in _causes)
        {
            var key = ResourceKey.Container(_ns, name, "main");
            Assert.True(_ledger.Starts(key) <= causes.Starts, $"{name} was started {_ledger.Starts(key)} times for {causes.Starts} causes");
            Assert.True(_ledger.Stops(key) <= causes.Stops, $"{name} was stopped {_ledger.Stops(key)} times for {causes.Stops} causes");
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _agent.DisposeAsync();
        await _proxy.DisposeAsync();
        foreach (var name in (await ListAsync()).Keys)
        {
            await ReleaseAsync(name);
            await _cluster.Api.KubectlAsync("delete", "nodeworkload", name, "-n", _ns, "--ignore-not-found", "--wait=false");
        }
        await _cluster.Api.KubectlAsync("delete", "lease", _node, "-n", ControllerCluster.Namespace, "--ignore-not-found");
        _admin.Dispose();
        _folder.Dispose();
    }

    private ClusterAgent StartAgent()
    {
        var options = new NodeOptions { NodeName = _node, StateDir = _folder["state"], Kubernetes = true, Kubeconfig = _proxy.Kubeconfig };
        Directory.CreateDirectory(options.StateDir);
        return new ClusterAgent(options, new WatchedRuntime(_fake, _ledger), _time, TextWriter.Synchronized(_log));
    }

    private async Task RestartAgentAsync()
    {
        Say("the agent is started anew");
        await _agent.DisposeAsync();
        _agent = StartAgent();
    }

    private async Task RestartServerAsync()
    {
        Say("the server is killed");
        await _cluster.Api.KillAsync();
        await _cluster.Api.StartAgainAsync();
        await _cluster.UntilServedAsync();
    }

    /// <summary>A list comes after other requests, so one is not always enough; but a request that is swallowed is the only one.</summary>
    private async Task UntilMetAsync(LinkFault fault)
    {
        var times = fault == LinkFault.BlackHole ? 1 : 1 + _random.Next(3);
        await Eventually.UntilAsync(
            async () =>
            {
                if (_proxy.Met >= times) return true;
                await _agent.ThrowIfFailedAsync();
                await LabelAsync(Still[0]); // a slow watch shows itself by an event only
                await PauseAsync(200);
                return _proxy.Met >= times;
            },
            $"lists or watches meet {fault} {times} times");
    }

    private async Task<string?> DifferenceAsync()
    {
        await _agent.ThrowIfFailedAsync();
        var list = await ListAsync();
        await ReleaseStoppedAsync(list);
        if (_deleting.Count > 0) return $"{string.Join(", ", _deleting)} wait for the agent";
        var view = _agent.View;
        if (view.Doubt.Length > 0) return $"the agent is in doubt: {view.Doubt}";
        var fresh = Sorted(list.Select(item => $"{item.Key}@{item.Value.Find("metadata").Text("resourceVersion")}"));
        var seen = Sorted(view.Workloads.Select(item => $"{item.Key.Name}@{item.Value.Object.ResourceVersion}"));
        if (fresh != seen) return $"a fresh list has {fresh}, the agent {seen}";
        var declared = Sorted(_declared.Select(item => $"{item.Key}=v{item.Value.Version}"));
        var running = Sorted(_fake.Containers.Select(container => $"{container.Key.Name.Split('/')[0]}={container.Process!.Args[0]}{(container.State == ContainerState.Running ? "" : " " + container.State)}"));
        if (declared != running) return $"declared are {declared}, there are {running}";
        foreach (var (name, found) in list)
            if (!IsReady(found)) return $"{name} says {found.Find("status")}";
        using var lease = await _admin.GetAsync($"apis/coordination.k8s.io/v1/namespaces/{ControllerCluster.Namespace}/leases?fieldSelector=metadata.name%3D{_node}", Cancel);
        return lease.RootElement.Items("items").Any() ? null : "the agent has no Lease";
    }

    private static bool IsReady(JsonElement found)
    {
        var status = found.Find("status");
        return status.Number("observedGeneration") == found.Find("metadata").Number("generation")
            && ObjectCondition.ReadAll(status).Any(condition => condition is { Type: "Ready", IsTrue: true });
    }

    private async Task<Dictionary<string, JsonElement>> ListAsync()
    {
        var items = new Dictionary<string, JsonElement>();
        await TakenAsync(async () =>
        {
            using var list = await _admin.GetAsync($"apis/reconciler.dev/v1alpha1/namespaces/{_ns}/nodeworkloads", Cancel);
            items = list.RootElement.Items("items").ToDictionary(item => item.Find("metadata").Text("name"), item => item.Clone());
        });
        return items;
    }

    /// <summary>A server that was just started refuses for a while.</summary>
    private static Task TakenAsync(Func<Task> request) => Eventually.UntilAsync(
        async () =>
        {
            try
            {
                await request();
                return true;
            }
            catch (ClusterException e) when (e.Status is 0 or 404 or 429 or >= 500)
            {
                return false;
            }
        },
        "the server takes a request");

    private static Task PauseAsync(int milliseconds) => Task.Delay(TimeSpan.FromMilliseconds(milliseconds), TimeProvider.System, Cancel);

    private string PathOf(string name) => $"apis/reconciler.dev/v1alpha1/namespaces/{_ns}/nodeworkloads/{name}";

    private void Say(string what) => _history.Append(CultureInfo.InvariantCulture, $"{TimeProvider.System.GetUtcNow():HH:mm:ss.fff} {what}\n");

    private static string Sorted(IEnumerable<string> items) => string.Join(' ', items.Order(StringComparer.Ordinal));

    private static string End(string text) => text.Length <= Tail ? text : "..." + text[^Tail..];
}
