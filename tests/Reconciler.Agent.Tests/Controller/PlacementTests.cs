using System.Collections.Immutable;
using Reconciler.Agent.Controller;
using Reconciler.Sources.Kubernetes;
using static Reconciler.Agent.Tests.Controller.Objects;

namespace Reconciler.Agent.Tests.Controller;

/// <summary>Which nodes a set is for, and what becomes of children elsewhere.</summary>
public sealed class PlacementTests
{
    [Theory]
    [InlineData("", "a,b,c")]
    [InlineData("\"nodeNames\":[\"b\",\"z\"]", "b")]
    [InlineData("\"nodeSelector\":{\"matchLabels\":{\"disk\":\"ssd\"}}", "a,b")]
    [InlineData("\"nodeSelector\":{\"matchLabels\":{\"disk\":\"ssd\"}},\"nodeNames\":[\"b\",\"c\"]", "b")]
    [InlineData("\"nodeSelector\":{\"matchExpressions\":[{\"key\":\"disk\",\"operator\":\"NotIn\",\"values\":[\"ssd\"]}]}", "c")]
    [InlineData("\"nodeSelector\":{\"matchExpressions\":[{\"key\":\"gpu\",\"operator\":\"Exists\"}]}", "b")]
    [InlineData("\"nodeSelector\":{\"matchExpressions\":[{\"key\":\"gpu\",\"operator\":\"DoesNotExist\"}]}", "a,c")]
    [InlineData("\"nodeSelector\":{\"matchExpressions\":[{\"key\":\"kubernetes.io/hostname\",\"operator\":\"In\",\"values\":[\"c\"]}]}", "c")]
    public void Selector_and_names_narrow_each_other(string spec, string nodes)
    {
        var set = Set(spec);
        var plan = Plan(set, Facts(set, [Machine("a", "disk=ssd"), Machine("b", "disk=ssd,gpu=1"), Machine("c", "disk=hdd")]));

        Assert.Equal(nodes.Split(','), plan.Creates);
    }

    [Theory]
    // taint key, effect; tolerations; a new child is made; an old one stays
    [InlineData("a", "NoSchedule", "", false, true)]
    [InlineData("a", "NoExecute", "", false, false)]
    [InlineData("a", "PreferNoSchedule", "", true, true)]
    [InlineData("a", "NoSchedule", "{\"key\":\"a\",\"operator\":\"Exists\"}", true, true)]
    [InlineData("a", "NoExecute", "{\"key\":\"a\",\"operator\":\"Exists\",\"effect\":\"NoSchedule\"}", false, false)]
    [InlineData("a", "NoExecute", "{\"key\":\"a\",\"value\":\"v\"}", true, true)]
    [InlineData("a", "NoExecute", "{\"key\":\"a\",\"value\":\"w\"}", false, false)]
    [InlineData("a", "NoExecute", "{\"operator\":\"Exists\"}", true, true)]
    [InlineData("a", "NoExecute", "{\"operator\":\"Exists\",\"tolerationSeconds\":60}", true, true)]
    [InlineData("a", "NoExecute", "{\"operator\":\"Exists\",\"tolerationSeconds\":20}", false, false)]
    [InlineData("node.kubernetes.io/not-ready", "NoExecute", "", true, true)]
    [InlineData("node.kubernetes.io/unreachable", "NoExecute", "", true, true)]
    [InlineData("node.kubernetes.io/disk-pressure", "NoSchedule", "", true, true)]
    [InlineData("node.kubernetes.io/memory-pressure", "NoSchedule", "", true, true)]
    [InlineData("node.kubernetes.io/pid-pressure", "NoSchedule", "", true, true)]
    [InlineData("node.kubernetes.io/unschedulable", "NoSchedule", "", true, true)]
    [InlineData("node.kubernetes.io/network-unavailable", "NoSchedule", "", false, true)]
    public void Taints_work_as_on_the_pods_of_a_DaemonSet(string key, string effect, string toleration, bool made, bool stays)
    {
        var set = Set($"\"tolerations\":[{toleration}]");
        var node = Machine("n", "", new Taint(key, "v", effect, Now.AddSeconds(-30)));

        Assert.Equal(made, Plan(set, Facts(set, [node])).Creates.Length == 1);
        Assert.Equal(stays, Plan(set, Facts(set, [node], Child(set, "n"))).Deletes.IsEmpty);
    }

    [Fact]
    public void With_the_hosts_network_a_node_without_network_is_good_enough()
    {
        var set = Set(template: "\"hostNetwork\":true");

        Assert.Single(Plan(set, Facts(set, [Machine("n", "", new Taint("node.kubernetes.io/network-unavailable", "", "NoSchedule", null))])).Creates);
    }

    [Fact]
    public void A_taint_that_is_borne_for_a_while_brings_the_set_back_when_it_is_over()
    {
        var set = Set("\"tolerations\":[{\"operator\":\"Exists\",\"tolerationSeconds\":60}]");
        var cluster = Facts(set, [Machine("n", "", new Taint("a", "", "NoExecute", Now.AddSeconds(-30)))], Child(set, "n"));

        var plan = Plan(set, cluster);

        Assert.Empty(plan.Deletes);
        Assert.Equal(Now.AddSeconds(30), plan.LookAgainAt);
        Assert.Single(Plan(set, cluster, now: Now.AddSeconds(30)).Deletes);
    }

    [Fact]
    public void A_child_of_a_node_that_is_no_longer_selected_goes()
    {
        var set = Set("\"nodeNames\":[\"a\"]");
        var plan = Plan(set, Facts(set, [Machine("a"), Machine("b")], Child(set, "a"), Child(set, "b")));

        Assert.Equal([new ChildDeletion(Child(set, "b"))], plan.Deletes);
        Assert.Equal(1, plan.Status!.NumberMisscheduled);
    }

    [Theory]
    [InlineData(0, false)]
    [InlineData(39, false)]
    [InlineData(40, true)]
    public void A_child_of_a_vanished_node_goes_after_forty_seconds(int seconds, bool goes)
    {
        var set = Set();
        var cluster = Facts(set, [], Child(set, "a")) with { AbsentSince = ImmutableDictionary<string, DateTimeOffset>.Empty.Add("a", Now) };

        var plan = Plan(set, cluster, now: Now.AddSeconds(seconds));

        Assert.Equal(goes ? [new ChildDeletion(Child(set, "a"), NodeGone: true)] : [], plan.Deletes);
        Assert.Equal(goes ? null : Now.AddSeconds(40), plan.LookAgainAt);
        Assert.Empty(plan.Creates);
    }

    [Fact]
    public void An_object_that_is_not_the_sets_is_left_alone_and_said()
    {
        var set = Set();
        var foreign = Child(set, "a") with { Owner = null, Revision = "" };
        var others = Child(set, "b") with { Owner = new OwnerReference("web", "an-older-uid"), Revision = "" };

        var plan = Plan(set, Facts(set, [Machine("a"), Machine("b"), Machine("c")], foreign, others));

        Assert.Equal(["c"], plan.Creates);
        Assert.False(plan.Updates.Any() || plan.Deletes.Any());
        Assert.StartsWith("1 NodeWorkloads are not", plan.Status!.Condition("Stalled")!.Message, StringComparison.Ordinal); // the older set's child is on its way out
        Assert.True(plan.Status!.Condition("Stalled") is { IsTrue: true, Reason: "NameConflict" } stalled && stalled.Message.Contains(foreign.Name.Name, StringComparison.Ordinal));
    }

    [Fact]
    public void A_second_child_on_a_node_goes()
    {
        var set = Set();
        var second = Child(set, "a") with { Name = new ObjectName("ns", "web-other") };

        Assert.Equal([new ChildDeletion(second)], Plan(set, Facts(set, [Machine("a")], Child(set, "a"), second)).Deletes);
    }

    [Fact]
    public void A_child_that_is_being_deleted_is_waited_for()
    {
        var set = Set();
        var plan = Plan(set, Facts(set, [Machine("a")], Child(set, "a") with { IsDeleting = true }));

        Assert.False(plan.ChangesChildren);
        Assert.Equal((1, 1, 0), (plan.Status!.DesiredNumberScheduled, plan.Status.CurrentNumberScheduled, plan.Status.NumberAvailable));
    }

    [Theory]
    [InlineData("\"deletionTimestamp\":\"2030-01-01T00:00:00Z\"", 0)]
    [InlineData("\"deletionTimestamp\":\"2030-01-01T00:00:00Z\",\"finalizers\":[\"orphan\"]", 0)]
    [InlineData("\"deletionTimestamp\":\"2030-01-01T00:00:00Z\",\"finalizers\":[\"foregroundDeletion\"]", 1)]
    public void A_set_that_is_being_deleted_deletes_its_children_only_where_they_shall_go_first(string metadata, int deletes)
    {
        var set = Set(metadata: metadata);
        var plan = Plan(set, Facts(set, [Machine("a"), Machine("b")], Child(set, "a")));

        Assert.Equal((0, 0, deletes), (plan.Creates.Length, plan.Updates.Length, plan.Deletes.Length));
        Assert.Null(plan.Status);
    }

    [Fact]
    public void Names_of_children_are_short_unique_and_stay()
    {
        Assert.Equal("web-yk8zq2rj5d".Length, ChildNames.Of("web", "node-1").Length);
        Assert.NotEqual(ChildNames.Of("a", "b-c"), ChildNames.Of("a-b", "c"));
        var longest = new string('a', 251) + ".b";
        Assert.Equal(253, ChildNames.Of(longest, "node-1").Length);
        Assert.NotEqual(ChildNames.Of(longest, "n"), ChildNames.Of(new string('a', 251) + ".c", "n"));
        Assert.Equal("web", ChildNames.Label("web"));
        Assert.Equal(63, ChildNames.Label(longest).Length);
        Assert.DoesNotContain(".-", ChildNames.Of(new string('a', 230) + "." + new string('b', 22), "n"), StringComparison.Ordinal);
    }
}
