using System.Collections.Immutable;
using System.Text;
using System.Text.Json.Nodes;
using Reconciler.Agent.Cluster;
using Reconciler.Agent.Controller;
using Reconciler.Agent.State;
using Reconciler.Agent.Tests.Controller;
using Reconciler.Core.Model;
using Reconciler.Core.Ports;
using Reconciler.Sources.Kubernetes;
using Reconciler.Testing;
using YamlDotNet.RepresentationModel;

namespace Reconciler.Agent.Tests.Cluster;

/// <summary>The health script of samples/gitops/argocd-cm.yaml over what agent and controller really write.</summary>
public sealed class ArgoHealthTests
{
    private const long Generation = 4;

    private static readonly string Sample = Path.Combine(Checkout.Root, "samples/gitops/argocd-cm.yaml");

    private static readonly ContainerSpec Web = new()
    {
        Key = ResourceKey.Container("ns", "web", "main"), Source = "kubernetes", Namespace = "ns", Workload = "web", Name = "main",
        Process = new ContainerProcess { Image = "docker.io/library/busybox:1" }, Hash = "h1",
    };

    private static readonly Dictionary<string, (JsonObject Object, string Health)> Rows = new()
    {
        ["runs"] = (Told("Running", ready: true), "Healthy Running"),
        ["stale image"] = (Told("ImageStale", ready: true), "Healthy ImageStale"),
        ["completed"] = (Told("Completed"), "Healthy Completed"),
        ["suspended"] = (Told("Suspended", suspend: true), "Suspended Suspended"),
        ["creating"] = (Told("Creating"), "Progressing Creating: web/main"),
        ["not worked on"] = (Workload(Status(null)), "Progressing Pending: web/main"),
        ["crashes"] = (Told("CrashLoopBackOff"), "Degraded CrashLoopBackOff: web/main"),
        ["ended for good"] = (Told("Error"), "Degraded Error: web/main"),
        ["fails"] = (Told("ImageNotFound", attempt: 2), "Degraded ImageNotFound: web/main"),
        ["refused"] = (Workload(Refused()), "Degraded InvalidSpec: spec.x: is wrong (right it)"),
        ["server went back"] = (Workload(Status(Report("Running", true), doubt: "SourceRegressed: older than seen")), "Degraded SourceRegressed: SourceRegressed: older than seen"),
        ["agent lost"] = (With(Told("Running", ready: true), Lost(true)), "Degraded LeaseExpired: no sign of life"),
        ["agent lost, spec changed"] = (With(Behind(Told("Running", ready: true)), Lost(true)), "Degraded LeaseExpired: no sign of life"),
        ["agent back"] = (With(Told("Running", ready: true), Lost(false)), "Healthy Running"),
        ["spec changed"] = (Behind(Told("Running", ready: true)), "Progressing not yet seen by the agent of its node or by the controller"),
        ["failed, spec changed"] = (Behind(Told("ImageNotFound", attempt: 2)), "Progressing not yet seen by the agent of its node or by the controller"),
        ["just created"] = (New(new JsonObject { ["observedGeneration"] = -1 }), "Progressing not yet seen by the agent of its node or by the controller"),
        ["no status"] = (New(null), "Progressing not yet seen by the agent of its node or by the controller"),
        ["set available"] = (Set(), "Healthy Available: 1 of 1 available, 1 up to date"),
        ["set without nodes"] = (Set(nodes: 0), "Healthy Available: no node matches"),
        ["set under way"] = (Set(nodes: 2), "Progressing Progressing: 1 of 2 available, 1 up to date"),
        ["set refused"] = (Set(nodes: 2, refusal: "no quota"), "Degraded Refused: no quota"),
        ["set changed"] = (Behind(Set()), "Progressing not yet seen by the agent of its node or by the controller"),
    };

    public static TheoryData<string> Names => [.. Rows.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Argo_CD_is_told(string row)
    {
        using var folder = new TempFolder();
        var (found, health) = Rows[row];
        // Argo CD loads next to no libraries for a script.
        await File.WriteAllTextAsync(
            folder["run.lua"],
            $$"""
            local run = assert(load({{Lua(Script("NodeWorkload"))}}, "health", "t", {obj = {{Lua(found)}}, ipairs = ipairs}))
            local health = run()
            io.write(health.status, " ", health.message)
            """,
            TestContext.Current.CancellationToken);

        Assert.Equal(health, await Shell.OutputAsync("lua5.4", folder["run.lua"]));
    }

    [Fact]
    public void Both_kinds_have_the_script() => Assert.Equal(Script("NodeWorkload"), Script("NodeWorkloadSet"));

    private static string Script(string kind)
    {
        var yaml = new YamlStream();
        using var text = File.OpenText(Sample);
        yaml.Load(text);
        return ((YamlScalarNode)yaml.Documents[0].RootNode["data"][$"resource.customizations.health.reconciler.dev_{kind}"]).Value!;
    }

    private static JsonObject Told(string reason, bool ready = false, int attempt = 0, bool suspend = false) => Workload(Status(Report(reason, ready, attempt), suspend));

    private static KeyState Report(string reason, bool ready, int attempt = 0) =>
        new() { Namespace = "ns", Name = Web.Key.Name, Reason = reason, Ready = ready, Attempt = attempt, SpecHash = Web.Hash };

    private static byte[] Status(KeyState? report, bool suspend = false, string doubt = "")
    {
        var workload = Parsed([Web with { Suspend = suspend }]);
        return WorkloadStatus.Of(workload, doubt, _ => report, _ => Actual.Nothing, [], Dated).Write(workload.Object);
    }

    private static byte[] Refused()
    {
        var workload = Parsed([]) with { Refused = true, Problems = [new Problem("kubernetes ns/web", 0, "spec.x", "is wrong", "right it")] };
        return WorkloadStatus.Of(workload, "", _ => null, _ => Actual.Nothing, [], Dated).Write(workload.Object);
    }

    private static ClusterWorkload Parsed(ImmutableArray<DesiredResource> resources) => new(
        ClusterObject.Parse(Encoding.UTF8.GetBytes($$$"""{"metadata":{"namespace":"ns","name":"web","uid":"u1","resourceVersion":"7","generation":{{{Generation}}}},"spec":{}}""")),
        [], false, resources);

    private static ObjectCondition Dated(string type, bool isTrue, string reason, string message) =>
        ObjectCondition.Now(type, isTrue, reason, message, Generation, null, DateTimeOffset.UnixEpoch);

    private static JsonObject Set(int nodes = 1, string refusal = "")
    {
        var set = Objects.Set(generation: Generation);
        var machines = Enumerable.Range(0, nodes).Select(node => Objects.Machine($"n{node}"));
        var children = Enumerable.Range(0, Math.Min(nodes, 1)).Select(node => Objects.Child(set, $"n{node}"));
        return Workload(Objects.Plan(set, Objects.Facts(set, machines, children), refusal: refusal).Status!.Write(set));
    }

    /// <summary>The object as the API server has it after the apply.</summary>
    private static JsonObject Workload(byte[] applied)
    {
        var found = JsonNode.Parse(applied)!.AsObject();
        found["metadata"]!["generation"] = Generation;
        return found;
    }

    private static JsonObject New(JsonObject? status)
    {
        var found = new JsonObject { ["metadata"] = new JsonObject { ["generation"] = 1 }, ["spec"] = new JsonObject() };
        if (status is not null) found["status"] = status;
        return found;
    }

    private static JsonObject Behind(JsonObject found)
    {
        found["metadata"]!["generation"] = Generation + 1;
        return found;
    }

    private static JsonObject With(JsonObject found, JsonObject condition)
    {
        found["status"]!["conditions"]!.AsArray().Add((JsonNode)condition);
        return found;
    }

    private static JsonObject Lost(bool lost) => new()
    {
        ["type"] = ConditionType.AgentLost,
        ["status"] = lost ? "True" : "False",
        ["reason"] = lost ? "LeaseExpired" : "AgentAlive",
        ["message"] = lost ? "no sign of life" : "",
    };

    /// <summary>As a literal.</summary>
    private static string Lua(JsonNode? node) => node switch
    {
        null => "nil",
        JsonObject map => "{" + string.Join(", ", map.Select(member => $"[{Lua(member.Key)}] = {Lua(member.Value)}")) + "}",
        JsonArray list => "{" + string.Join(", ", list.Select(Lua)) + "}",
        JsonValue value when value.TryGetValue<string>(out var text) => Lua(text),
        _ => node.ToJsonString(),
    };

    private static string Lua(string text) => "\"" + string.Concat(Encoding.UTF8.GetBytes(text).Select(octet => $"\\{octet:000}")) + "\"";
}
