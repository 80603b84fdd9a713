using System.Text.Json;
using System.Text.Json.Nodes;
using Reconciler.Agent.Controller;
using static Reconciler.Agent.Tests.Controller.Objects;

namespace Reconciler.Agent.Tests.Controller;

/// <summary>Rollouts, counters and conditions.</summary>
public sealed class SetPlannerTests
{
    private static readonly WorkloadSet Old = Set(image: "app:0");

    [Theory]
    // maxUnavailable, nodes -> nodes at a time
    [InlineData("1", 10, 1)]
    [InlineData("3", 10, 3)]
    [InlineData("30", 10, 30)]
    [InlineData("\"10%\"", 10, 1)]
    [InlineData("\"11%\"", 10, 2)]
    [InlineData("\"100%\"", 7, 7)]
    [InlineData("\"1%\"", 1, 1)]
    [InlineData("\"50%\"", 0, 1)]
    public void MaxUnavailable_is_a_count_or_a_percentage_rounded_up(string max, int nodes, int expected) =>
        Assert.Equal(expected, Set($"\"updateStrategy\":{{\"maxUnavailable\":{max}}}").MaxUnavailableOf(nodes));

    [Theory]
    // per node: o old and available, x old and not available, n new and available, u new and not available, - none
    [InlineData("ooooo", 2, "01")]
    [InlineData("xoooo", 2, "01")] // the broken one is free, and counts as unavailable
    [InlineData("xxooo", 2, "01")]
    [InlineData("xxxoo", 2, "012")]
    [InlineData("uoooo", 2, "1")]
    [InlineData("uuooo", 2, "")]
    [InlineData("-oooo", 2, "1")]
    [InlineData("--ooo", 2, "")]
    [InlineData("nnooo", 2, "23")]
    [InlineData("nnnnn", 2, "")]
    public void A_rollout_takes_broken_copies_first_and_others_while_the_budget_lasts(string nodes, int max, string updated)
    {
        var set = Set($"\"updateStrategy\":{{\"maxUnavailable\":{max}}}");
        var children = nodes.Select((state, node) => (state, node)).Where(item => item.state != '-').Select(item =>
            Child(item.state is 'o' or 'x' ? Old : set, $"n{item.node}") with { IsReady = item.state is 'o' or 'n' });

        var plan = Plan(set, Facts(set, Enumerable.Range(0, nodes.Length).Select(node => Machine($"n{node}")), children));

        Assert.Equal(updated.Select(node => $"n{node}"), plan.Updates.Select(child => child.NodeName));
    }

    [Fact]
    public void OnDelete_updates_nothing_and_is_ready_with_old_copies()
    {
        var set = Set("\"updateStrategy\":{\"type\":\"OnDelete\"}");
        var plan = Plan(set, Facts(set, [Machine("a")], Child(Old, "a")));

        Assert.Empty(plan.Updates);
        Assert.Equal((1, 0), (plan.Status!.NumberAvailable, plan.Status.UpdatedNumberScheduled));
        Assert.True(plan.Status.Condition("Ready")!.IsTrue);
    }

    [Fact]
    public void A_copy_counts_as_available_only_after_minReadySeconds_and_the_set_looks_again_then()
    {
        var set = Set("\"minReadySeconds\":30");
        var child = Child(set, "a") with { ReadySince = Now.AddSeconds(-10) };
        var cluster = Facts(set, [Machine("a"), Machine("b")], child, Child(Old, "b"));

        var plan = Plan(set, cluster);

        Assert.Empty(plan.Updates);
        Assert.Equal((2, 1, 1), (plan.Status!.NumberReady, plan.Status.NumberAvailable, plan.Status.NumberUnavailable));
        Assert.Equal(Now.AddSeconds(20), plan.LookAgainAt);
        Assert.Equal("b", Plan(set, cluster, now: Now.AddSeconds(20)).Updates.Single().NodeName);
    }

    [Fact]
    public void The_counters_are_DaemonSets()
    {
        var set = Set("\"nodeSelector\":{\"matchLabels\":{\"x\":\"1\"}}");
        var nodes = new[] { Machine("a", "x=1"), Machine("b", "x=1"), Machine("c", "x=1"), Machine("d", "x=1"), Machine("e") };
        var plan = Plan(set, Facts(set, nodes, Child(set, "a"), Child(Old, "b"), Child(set, "c") with { IsReady = false }, Child(set, "e")));

        var status = plan.Status!;
        Assert.Equal((4, 3, 2), (status.DesiredNumberScheduled, status.CurrentNumberScheduled, status.UpdatedNumberScheduled));
        Assert.Equal((2, 2, 2, 1), (status.NumberReady, status.NumberAvailable, status.NumberUnavailable, status.NumberMisscheduled));
        Assert.Equal((1, set.Template.Revision), (status.ObservedGeneration, status.UpdateRevision));
    }

    [Fact]
    public void Without_nodes_a_set_is_ready()
    {
        var plan = Plan(Set(), Facts(Set(), []));

        Assert.Equal(["Ready=True Available no node matches", "Reconciling=False Available ", "Stalled=False Available "], Text(plan));
    }

    [Fact]
    public void Conditions_go_from_reconciling_to_ready_and_keep_their_times()
    {
        var set = Set();
        var first = Plan(set, Facts(set, [Machine("a")]));
        Assert.Equal(["Ready=False Progressing 0 of 1 available, 0 up to date", "Reconciling=True Progressing 0 of 1 available, 0 up to date", "Stalled=False Progressing "], Text(first));

        var second = Plan(set, Facts(set, [Machine("a")], Child(set, "a")), first.Status, now: Now.AddSeconds(5));
        Assert.Equal(["Ready=True Available 1 of 1 available, 1 up to date", "Reconciling=False Available ", "Stalled=False Available "], Text(second));
        Assert.Equal([Now.AddSeconds(5), Now.AddSeconds(5), Now], second.Status!.Conditions.Select(condition => condition.Since));

        Assert.Equal(second.Status, Plan(set, Facts(set, [Machine("a")], Child(set, "a")), second.Status, now: Now.AddSeconds(50)).Status);
    }

    [Fact]
    public void Without_progress_for_the_deadline_a_set_is_stalled_and_progress_ends_that()
    {
        var set = Set("\"progressDeadlineSeconds\":60");
        var cluster = Facts(set, [Machine("a")], Child(set, "a") with { IsReady = false, CreatedAt = Now });
        var begun = Plan(set, cluster);
        Assert.Equal(Now.AddSeconds(60), begun.LookAgainAt);
        Assert.True(Plan(set, cluster, begun.Status, now: Now.AddSeconds(59)).Status!.Condition("Reconciling")!.IsTrue);

        var late = Plan(set, cluster, begun.Status, now: Now.AddSeconds(60));
        Assert.Equal("Stalled=True ProgressDeadlineExceeded no progress for 60 s: 0 of 1 available, 1 up to date", Text(late)[2]);
        Assert.StartsWith("Reconciling=False", Text(late)[1], StringComparison.Ordinal);
        Assert.Equal(late.Status, Plan(set, cluster, late.Status, now: Now.AddSeconds(600)).Status);

        var added = Facts(set, [Machine("a"), Machine("b")], [.. cluster.Workloads.Values, Child(set, "b") with { IsReady = false, CreatedAt = Now.AddSeconds(70) }]);
        var again = Plan(set, added, late.Status, now: Now.AddSeconds(70));
        Assert.True(again.Status!.Condition("Reconciling")!.IsTrue);
        Assert.Equal(Now.AddSeconds(130), again.LookAgainAt);
    }

    [Theory]
    [InlineData(-5)]
    [InlineData(5)]
    public void A_server_whose_clock_is_hours_off_shifts_no_deadline(int hours)
    {
        var set = Set("\"progressDeadlineSeconds\":60");
        var cluster = Facts(set, [Machine("a")], Child(set, "a") with { IsReady = false, CreatedAt = Now.AddHours(hours) });
        var begun = Plan(set, cluster);
        Assert.Equal(Now.AddSeconds(60), begun.LookAgainAt);
        Assert.StartsWith("Stalled=True ProgressDeadlineExceeded", Text(Plan(set, cluster, begun.Status, now: Now.AddSeconds(60)))[2], StringComparison.Ordinal);
    }

    [Fact]
    public void A_changed_set_has_its_whole_deadline_again()
    {
        var set = Set("\"progressDeadlineSeconds\":60");
        var cluster = Facts(set, [Machine("a")], Child(Old, "a") with { IsReady = false, CreatedAt = Now });
        var stalled = Plan(set, cluster, Plan(set, cluster).Status, now: Now.AddSeconds(60)).Status;

        var plan = Plan(Set("\"progressDeadlineSeconds\":60", generation: 2), cluster, stalled, now: Now.AddSeconds(500));

        Assert.Equal((Now.AddSeconds(500), true), (plan.Status!.Condition("Reconciling")!.Since, plan.Status.Condition("Reconciling")!.IsTrue));
        Assert.Equal(Now.AddSeconds(560), plan.LookAgainAt);
    }

    [Fact]
    public void What_the_server_refuses_is_said()
    {
        var plan = Plan(Set(), Facts(Set(), [Machine("a")]), refusal: "denied by policy");

        Assert.Equal("Stalled=True Refused denied by policy", Text(plan)[2]);
        Assert.Equal(["a"], plan.Creates);
    }

    [Fact]
    public void A_selector_that_cannot_be_read_changes_nothing()
    {
        var set = Set("\"nodeSelector\":{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Near\"}]}");
        var plan = Plan(set, Facts(set, [Machine("a")], Child(Old, "b")));

        Assert.False(plan.ChangesChildren);
        Assert.StartsWith("Stalled=True InvalidSpec spec.nodeSelector", Text(plan)[2], StringComparison.Ordinal);
    }

    [Fact]
    public void The_revision_is_the_templates_and_nothing_elses()
    {
        var revision = Set().Template.Revision;
        Assert.Equal(revision, Set("\"minReadySeconds\":5,\"nodeNames\":[\"a\"]", generation: 9).Template.Revision);
        Assert.NotEqual(revision, Set(image: "app:2").Template.Revision);
        Assert.NotEqual(revision, Set(template: "\"hostNetwork\":true").Template.Revision);
    }

    [Fact]
    public void A_status_reads_back_as_it_was_written_without_the_conditions_of_others()
    {
        var set = Set();
        var status = Plan(set, Facts(set, [Machine("a"), Machine("b")], Child(Old, "a"), Child(set, "b"))).Status!;
        var written = JsonNode.Parse(status.Write(set))!["status"]!;
        written["conditions"]!.AsArray().Add(JsonNode.Parse("{\"type\":\"Theirs\",\"status\":\"True\"}"));
        using var document = JsonDocument.Parse(written.ToJsonString());

        Assert.Equal(status, SetStatus.Read(document.RootElement));
    }

    private static List<string> Text(SetPlan plan) =>
        [.. plan.Status!.Conditions.Select(condition => $"{condition.Type}={condition.IsTrue} {condition.Reason} {condition.Message}")];
}
