using System.Collections.Immutable;
using System.Text;
using Reconciler.Agent.Controller;
using Reconciler.Core.Engine;
using Reconciler.Sources.Kubernetes;
using static Reconciler.Agent.Tests.Controller.Objects;

namespace Reconciler.Agent.Tests.Controller;

/// <summary>Which keys a change concerns: what is missed here is done late, or never.</summary>
public sealed class FactStoreTests
{
    private const string SetJson = """{"metadata":{"namespace":"ns","name":"web","uid":"u1","resourceVersion":"1","generation":1},"spec":{"template":{"spec":{}}}}""";
    private const string OtherJson = """{"metadata":{"namespace":"ns","name":"other","uid":"u2","resourceVersion":"2","generation":1},"spec":{"template":{"spec":{}}}}""";
    private const string NodeJson = """{"metadata":{"name":"n","uid":"u3","resourceVersion":"3"}}""";
    private const string ChildJson = """
        {"metadata":{"namespace":"ns","name":"web-x","uid":"u4","resourceVersion":"4","ownerReferences":[{"apiVersion":"reconciler.dev/v1alpha1","kind":"NodeWorkloadSet","name":"web","uid":"u1","controller":true}]},
         "spec":{"nodeName":"n"}}
        """;
    private const string MineJson = """{"metadata":{"namespace":"ns","name":"mine","uid":"u5","resourceVersion":"5"},"spec":{"nodeName":"n"}}""";

    private static readonly WorkKey Web = new(true, new ObjectName("ns", "web"));
    private static readonly WorkKey Other = new(true, new ObjectName("ns", "other"));
    private static readonly WorkKey Child = new(false, new ObjectName("ns", "web-x"));
    private static readonly WorkKey Mine = new(false, new ObjectName("ns", "mine"));

    private readonly FactStore _store = new();

    private ClusterLists _lists = new(List(SetJson, OtherJson), List(ChildJson, MineJson), List(NodeJson), List());

    public FactStoreTests() => Assert.Equal([Web, Other, Child, Mine], Keys(Apply(_lists)));

    [Fact]
    public void What_did_not_change_concerns_nobody_also_in_a_new_list()
    {
        Assert.Empty(Apply(_lists));
        Assert.Empty(Apply(new ClusterLists(List(SetJson, OtherJson), List(ChildJson, MineJson), List(NodeJson), List())));
    }

    [Fact]
    public void A_changed_spec_is_declared_and_a_changed_status_is_a_hint()
    {
        Assert.Equal(new() { [Web] = Trigger.Declared }, Apply(_lists with { Sets = List(Later(SetJson).Replace("\"generation\":1", "\"generation\":2", StringComparison.Ordinal), OtherJson) }));
        Assert.Equal(new() { [Other] = Trigger.Hint }, Apply(_lists with { Sets = List(Later(SetJson).Replace("\"generation\":1", "\"generation\":2", StringComparison.Ordinal), Later(OtherJson)) }));
    }

    [Fact]
    public void The_children_of_a_set_that_is_gone_or_another_one_are_looked_at()
    {
        Assert.Equal([Web, Other, Child], Keys(Apply(_lists with { Sets = List(Later(SetJson).Replace("u1", "u9", StringComparison.Ordinal), OtherJson) })));
        Assert.Equal([Web, Other, Child], Keys(Apply(_lists with { Sets = List(OtherJson) })));
    }

    [Fact]
    public void A_child_concerns_itself_and_its_set() => Assert.Equal([Web, Child], Keys(Apply(_lists with { Workloads = List(Later(ChildJson), MineJson) })));

    [Fact]
    public void Somebodys_own_workload_may_have_had_the_name_of_a_child() =>
        Assert.Equal([Web, Other, Mine], Keys(Apply(_lists with { Workloads = List(ChildJson) })));

    [Fact]
    public void A_node_concerns_all_sets_and_its_workloads_but_its_heartbeat_nobody()
    {
        Assert.Empty(Apply(_lists with { Nodes = List(Later(NodeJson)) }));
        Assert.Equal([Web, Other, Child, Mine], Keys(Apply(_lists with { Nodes = List(NodeJson.Replace("\"3\"}", "\"9\",\"labels\":{\"a\":\"b\"}}", StringComparison.Ordinal)) })));
        Assert.Equal([Web, Other, Child, Mine], Keys(Apply(_lists with { Nodes = List() })));
    }

    [Fact]
    public void An_agents_sign_of_life_concerns_its_workloads_only_when_it_tells_something_new()
    {
        var now = Now;
        Assert.Equal([Child, Mine], Keys(Apply(Renewed(now), now)));
        Assert.Empty(Apply(Renewed(now.AddSeconds(10)), now.AddSeconds(10)));
        Assert.Equal([Child, Mine], Keys(Apply(Renewed(now.AddSeconds(800)), now.AddSeconds(800)))); // it was taken for lost
    }

    [Fact]
    public void After_a_doubt_about_the_Leases_every_workload_is_looked_at()
    {
        Assert.Empty(Apply(_lists with { Leases = _lists.Leases with { Doubt = "forbidden" } }));
        Assert.Equal([Child, Mine], Keys(Apply(_lists with { Leases = _lists.Leases with { Doubt = "" } })));
    }

    private ClusterLists Renewed(DateTimeOffset at) => _lists with
    {
        Leases = List($$$"""{"metadata":{"namespace":"l","name":"n","uid":"u6","resourceVersion":"{{{at.ToUnixTimeSeconds()}}}"},"spec":{"renewTime":"{{{ClusterTime.Micro(at)}}}","leaseDurationSeconds":180} }"""),
    };

    private Dictionary<WorkKey, Trigger> Apply(ClusterLists lists, DateTimeOffset? now = null)
    {
        _lists = lists;
        return new(_store.Apply(lists, now ?? Now));
    }

    private static List<WorkKey> Keys(Dictionary<WorkKey, Trigger> changes) => [.. new[] { Web, Other, Child, Mine }.Where(changes.ContainsKey)];

    private static string Later(string json) => System.Text.RegularExpressions.Regex.Replace(json, "\"resourceVersion\":\"(.)\"", "\"resourceVersion\":\"1$1\"");

    private static ClusterState List(params string[] objects) => new(
        objects.Select(json => ClusterObject.Parse(Encoding.UTF8.GetBytes(json))).ToImmutableDictionary(found => found.Name), "1", "");
}
