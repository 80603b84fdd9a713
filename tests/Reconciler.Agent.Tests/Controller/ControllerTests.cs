using System.Text.Json;
using Reconciler.Agent.Controller;
using Reconciler.Sources.Kubernetes;
using static Reconciler.Agent.Tests.Controller.Scenario;

namespace Reconciler.Agent.Tests.Controller;

/// <summary>Sets and their children on a real API server.</summary>
[Collection(ControllerCollection.Name)]
public sealed class ControllerTests(ControllerCluster cluster)
{
    private static readonly CancellationToken Cancel = TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_set_has_a_child_on_each_node_also_on_those_that_come_and_not_on_those_that_are_tainted()
    {
        await using var scenario = await StartAsync(cluster, nodes: 3);
        scenario.RunAgents();
        scenario.StartController();
        await scenario.ApplySetAsync();
        await scenario.ReadyAsync();
        Assert.Equal([scenario.Node(0), scenario.Node(1), scenario.Node(2)], (await scenario.ChildrenAsync()).Select(NodeOf));
        var child = (await scenario.ChildAsync(0))!.Value;
        Assert.Equal("web", child.GetProperty("metadata").GetProperty("labels").GetProperty(Workload.SetLabel).GetString());
        Assert.Equal(RevisionOf(child), (await scenario.SetAsync()).GetProperty("status").GetProperty("updateRevision").GetString());

        await scenario.AddNodeAsync(3);
        await scenario.UntilAsync(async () => await scenario.ChildAsync(3) is not null, "the new node has a child");

        await scenario.ChangeNodeAsync(1, """{"spec":{"taints":[{"key":"a","effect":"NoExecute"}]}}""");
        await scenario.UntilAsync(async () => await scenario.ChildAsync(1) is null, "the child of the tainted node is gone");
        await scenario.ChangeNodeAsync(1, """{"spec":{"taints":null}}""");
        await scenario.UntilAsync(async () => await scenario.ChildAsync(1) is not null, "it is back");
        await scenario.ReadyAsync();
    }

    [Fact]
    public async Task A_changed_template_is_rolled_out_one_node_after_the_other_and_what_it_lost_is_gone()
    {
        await using var scenario = await StartAsync(cluster, nodes: 3);
        scenario.RunAgents();
        scenario.StartController();
        await scenario.ApplySetAsync(template: """
            {"metadata":{"labels":{"a":"1","b":"1"},"annotations":{"note":"x"}},
             "spec":{"containers":[{"name":"main","image":"example.org/app:1"},{"name":"side","image":"example.org/side:1"}]}}
            """);
        await scenario.ReadyAsync();
        var before = await scenario.ChildrenAsync();
        Assert.Equal("x", before[0].GetProperty("metadata").GetProperty("annotations").GetProperty("note").GetString());
        var from = before.Select(VersionOf).MaxBy(version => version, Comparer<string>.Create(ResourceVersion.Compare))!;

        await scenario.ApplySetAsync(template: """{"metadata":{"labels":{"b":"2"}},"spec":{"containers":[{"name":"main","image":"example.org/app:2"}]}}""");
        await scenario.ReadyAsync();

        var after = await scenario.ChildrenAsync();
        Assert.Equal(before.Select(UidOf), after.Select(UidOf));
        Assert.All(after, child =>
        {
            Assert.Equal("example.org/app:2", child.GetProperty("spec").GetProperty("containers").EnumerateArray().Single().GetProperty("image").GetString());
            var labels = child.GetProperty("metadata").GetProperty("labels").EnumerateObject().Select(label => $"{label.Name}={label.Value}");
            Assert.Equal(["b=2", $"{Workload.RevisionLabel}={RevisionOf(child)}", $"{Workload.SetLabel}=web"], labels.Order(StringComparer.Ordinal));
            Assert.False(child.GetProperty("metadata").TryGetProperty("annotations", out _));
        });
        Assert.Equal(1, await MostAtOnceAsync(scenario, before, from, after));
    }

    /// <summary>From the server's own history: how many children were at one time changed and not yet answered for.</summary>
    private async Task<int> MostAtOnceAsync(Scenario scenario, List<JsonElement> before, string from, List<JsonElement> after)
    {
        using var client = cluster.Open("test");
        var end = after.Select(VersionOf).MaxBy(version => version, Comparer<string>.Create(ResourceVersion.Compare))!;
        var open = before.ToDictionary(UidOf, child => !IsAnswered(child));
        var most = 0;
        var path = $"apis/reconciler.dev/v1alpha1/namespaces/{scenario.Namespace}/nodeworkloads?watch=1&resourceVersion={from}&timeoutSeconds=300";
        await using var watch = await client.WatchAsync(path, TimeSpan.FromSeconds(330), Cancel);
        while (await watch.NextAsync(Cancel) is { } happened)
        {
            using var child = JsonDocument.Parse(happened.Object.Json);
            open[happened.Object.Uid] = !IsAnswered(child.RootElement);
            most = Math.Max(most, open.Values.Count(waits => waits));
            if (ResourceVersion.Compare(happened.Object.ResourceVersion, end) >= 0) return most;
        }
        throw new InvalidOperationException("the watch ended early");
    }

    [Fact]
    public async Task A_broken_template_stops_by_itself()
    {
        await using var scenario = await StartAsync(cluster, nodes: 3);
        scenario.StartController();
        await scenario.ApplySetAsync();
        await scenario.UntilAsync(async () => (await scenario.ChildrenAsync()).Count == 3, "there are children");
        foreach (var child in await scenario.ChildrenAsync()) await scenario.AnswerAsync(child);
        await scenario.ReadyAsync();

        await scenario.ApplySetAsync(image: "example.org/broken:1");
        await scenario.UntilAsync(
            async () => (await scenario.SetAsync()).GetProperty("status") is var status && status.GetProperty("updatedNumberScheduled").GetInt32() == 1 && status.GetProperty("numberUnavailable").GetInt32() == 1,
            "one child is changed");
        Assert.Single(await scenario.ChildrenAsync(), child => !IsAnswered(child));
        Assert.Equal((false, true), (Condition(await scenario.SetAsync(), "Ready")!.IsTrue, Condition(await scenario.SetAsync(), "Reconciling")!.IsTrue));

        await scenario.ApplySetAsync();
        scenario.RunAgents();
        await scenario.ReadyAsync();
    }

    [Fact]
    public async Task An_object_of_the_same_name_that_is_not_the_sets_is_never_touched()
    {
        await using var scenario = await StartAsync(cluster, nodes: 2);
        await scenario.PostChildAsync($$$"""
            {"apiVersion":"reconciler.dev/v1alpha1","kind":"NodeWorkload","metadata":{"name":"{{{scenario.ChildName("web", 0)}}}"},
             "spec":{"nodeName":"{{{scenario.Node(0)}}}","images":[{"image":"example.org/mine:1"}]}}
            """);
        var mine = (await scenario.ChildAsync(0))!.Value;
        scenario.StartController();
        await scenario.ApplySetAsync();
        await scenario.UntilAsync(async () => Condition(await scenario.SetAsync(), "Stalled") is { IsTrue: true, Reason: "NameConflict" }, "the set says so");
        await scenario.UntilAsync(async () => await scenario.ChildAsync(1) is not null, "the other node has its child");
        Assert.Equal(VersionOf(mine), VersionOf((await scenario.ChildAsync(0))!.Value));

        await scenario.DeleteChildAsync(0);
        scenario.RunAgents();
        await scenario.ReadyAsync();
    }

    [Fact]
    public async Task A_restart_writes_nothing_when_nothing_changed()
    {
        await using var scenario = await StartAsync(cluster, nodes: 3);
        scenario.RunAgents();
        var first = scenario.StartController();
        await scenario.ApplySetAsync();
        await scenario.ReadyAsync();
        await first.DisposeAsync();
        var before = await VersionsAsync(scenario);

        await using var second = scenario.StartController();
        await scenario.ApplySetAsync("later", spec: $"\"nodeNames\":[\"{scenario.Node(0)}\"]");
        await scenario.ReadyAsync("later"); // it came last, so the others were looked at

        Assert.Equal(before, await VersionsAsync(scenario));
    }

    private static async Task<List<string>> VersionsAsync(Scenario scenario) =>
    [
        VersionOf(await scenario.SetAsync()), .. (await scenario.ChildrenAsync()).Where(child => NameOf(child).StartsWith("web-", StringComparison.Ordinal)).Select(child => $"{NameOf(child)} {VersionOf(child)}"),
    ];

    [Fact]
    public async Task The_children_of_a_deleted_set_are_deleted_and_gone_once_their_agents_stopped_them()
    {
        await using var scenario = await StartAsync(cluster, nodes: 2);
        scenario.StartController();
        await scenario.ApplySetAsync();
        await scenario.UntilAsync(async () => (await scenario.ChildrenAsync()).Count == 2, "there are children");

        await scenario.DeleteSetAsync();
        await scenario.UntilAsync(async () => (await scenario.ChildrenAsync()).All(IsDeleting), "both are deleted");
        Assert.Equal(2, (await scenario.ChildrenAsync()).Count);
        await scenario.AnswerAsync((await scenario.ChildAsync(1))!.Value);
        await scenario.UntilAsync(async () => await scenario.ChildAsync(1) is null, "the stopped one is gone");
        Assert.NotNull(await scenario.ChildAsync(0));

        await scenario.PatchChildAsync(0, $$$"""{"metadata":{"annotations":{"{{{Workload.ForceRelease}}}":"true"} } }""");
        await scenario.UntilAsync(async () => await scenario.ChildAsync(0) is null, "the forced one is gone");
        Assert.Contains("ForceReleased", await scenario.EventsAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_set_that_is_made_again_under_its_name_gets_children_of_its_own()
    {
        await using var scenario = await StartAsync(cluster, nodes: 2);
        scenario.RunAgents();
        scenario.StartController();
        await scenario.ApplySetAsync();
        await scenario.ReadyAsync();
        var before = (await scenario.ChildrenAsync()).Select(UidOf).ToHashSet();

        await scenario.DeleteSetAsync();
        await scenario.ApplySetAsync();
        await scenario.ReadyAsync();

        Assert.Equal(2, (await scenario.ChildrenAsync()).Count(child => !before.Contains(UidOf(child))));
    }

    [Fact]
    public async Task Nothing_waits_for_a_node_that_is_gone_and_nothing_is_let_go_for_a_lost_agent()
    {
        await using var scenario = await StartAsync(cluster, nodes: 2);
        var time = new ShiftedTime();
        scenario.StartController(time);
        await scenario.ApplySetAsync();
        await scenario.UntilAsync(async () => (await scenario.ChildrenAsync()).Count == 2, "there are children");

        await scenario.RemoveNodeAsync(0);
        await scenario.ChangeNodeAsync(1, """{"metadata":{"labels":{"test":"other"}}}""");
        await scenario.UntilAsync(async () => IsDeleting((await scenario.ChildAsync(1))!.Value), "the child of the node that is there is deleted");
        Assert.False(IsDeleting((await scenario.ChildAsync(0))!.Value));

        time.Shift += TimeSpan.FromSeconds(200); // beyond the 40 s of a node, and the 180 s of an agent
        await scenario.ChangeNodeAsync(1, """{"metadata":{"labels":{"look":"again"}}}""");
        await scenario.UntilAsync(async () => await scenario.ChildAsync(0) is null, "the child of the vanished node is gone");
        await scenario.UntilAsync(async () => Condition((await scenario.ChildAsync(1))!.Value, "AgentLost") is { IsTrue: true, Reason: "NoAgent" }, "the lost agent is said");
        await scenario.AnswerAsync((await scenario.ChildAsync(1))!.Value);
        await scenario.UntilAsync(async () => await scenario.ChildAsync(1) is null, "the agent was alive after all, and the child is gone");
    }

    [Fact]
    public async Task A_template_that_the_server_refuses_is_said_and_mended()
    {
        await using var scenario = await StartAsync(cluster, nodes: 2);
        await cluster.Api.ApplyAsync($$"""
            apiVersion: admissionregistration.k8s.io/v1
            kind: ValidatingAdmissionPolicy
            metadata: {name: "{{scenario.Namespace}}"}
            spec:
              failurePolicy: Fail
              matchConstraints:
                resourceRules: [{apiGroups: [reconciler.dev], apiVersions: ["*"], operations: [CREATE, UPDATE], resources: [nodeworkloads]}]
              validations:
              - expression: "object.metadata.namespace != '{{scenario.Namespace}}' || !has(object.spec.containers) || object.spec.containers.all(c, c.image != 'example.org/bad:1')"
                message: no bad images here
            ---
            apiVersion: admissionregistration.k8s.io/v1
            kind: ValidatingAdmissionPolicyBinding
            metadata: {name: "{{scenario.Namespace}}"}
            spec: {policyName: "{{scenario.Namespace}}", validationActions: [Deny]}
            """);
        await scenario.UntilAsync(async () => await IsDeniedAsync(scenario), "the policy is in force");
        scenario.RunAgents();
        scenario.StartController();
        await scenario.ApplySetAsync(image: "example.org/bad:1");
        await scenario.UntilAsync(
            async () => Condition(await scenario.SetAsync(), "Stalled") is { IsTrue: true, Reason: "Refused" } stalled && stalled.Message.Contains("no bad images here", StringComparison.Ordinal),
            "the set says why");

        await scenario.ApplySetAsync(image: "example.org/good:1");
        await scenario.ReadyAsync();
    }

    private async Task<bool> IsDeniedAsync(Scenario scenario)
    {
        using var client = cluster.Open("test");
        try
        {
            var body = """{"apiVersion":"reconciler.dev/v1alpha1","kind":"NodeWorkload","metadata":{"name":"try"},"spec":{"nodeName":"n","containers":[{"name":"a","image":"example.org/bad:1"}]}}"""u8;
            using var made = await client.PostAsync($"apis/reconciler.dev/v1alpha1/namespaces/{scenario.Namespace}/nodeworkloads?dryRun=All", body.ToArray(), Cancel);
            return false;
        }
        catch (ClusterException e) when (e.Message.Contains("no bad images", StringComparison.Ordinal))
        {
            return true;
        }
    }

    [Fact]
    public async Task A_controller_goes_on_after_its_server_was_away()
    {
        await using var scenario = await StartAsync(cluster, nodes: 2);
        scenario.RunAgents();
        scenario.StartController();
        await scenario.ApplySetAsync();
        await scenario.ReadyAsync();

        await cluster.Api.KillAsync();
        await cluster.Api.StartAgainAsync();
        await cluster.UntilServedAsync();
        await scenario.UntilAsync(async () =>
        {
            await scenario.ApplySetAsync(image: "example.org/app:2");
            return true;
        }, "the server takes a change");
        await scenario.ReadyAsync();

        Assert.All(await scenario.ChildrenAsync(), child => Assert.Contains("app:2", child.GetProperty("spec").GetRawText(), StringComparison.Ordinal));
    }

    private static string UidOf(JsonElement child) => child.GetProperty("metadata").GetProperty("uid").GetString()!;

    private static string NameOf(JsonElement child) => child.GetProperty("metadata").GetProperty("name").GetString()!;

    private static bool IsDeleting(JsonElement child) => child.GetProperty("metadata").TryGetProperty("deletionTimestamp", out _);

    /// <summary>A slow clock that the test moves: nothing of 40 s happens by itself within a test's limits. Timers run as ever.</summary>
    private sealed class ShiftedTime : TimeProvider
    {
        private readonly DateTimeOffset _start = System.GetUtcNow();
        private long _shift;

        public TimeSpan Shift
        {
            get => TimeSpan.FromTicks(Interlocked.Read(ref _shift));
            set => Interlocked.Exchange(ref _shift, value.Ticks);
        }

        public override DateTimeOffset GetUtcNow() => _start + (base.GetUtcNow() - _start) / 10 + Shift;
    }
}
