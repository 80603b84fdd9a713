using System.Collections.Immutable;
using Reconciler.Agent.Cluster;
using Reconciler.Agent.Controller;
using static Reconciler.Agent.Tests.Controller.Objects;

namespace Reconciler.Agent.Tests.Controller;

/// <summary>The deletion protocol, and lost agents.</summary>
public sealed class WorkloadPlannerTests
{
    private static readonly Workload Deleted = Child(Set(), "a") with { IsDeleting = true };

    [Fact]
    public void A_deleted_child_waits_for_its_agent()
    {
        Assert.Equal(Release.None, Plan(Deleted, Machine("a")).Release);
        Assert.Equal(Release.Stopped, Plan(Deleted with { IsStopped = true }, Machine("a")).Release);
    }

    [Fact]
    public void What_is_not_deleted_or_has_no_finalizer_of_ours_is_not_released()
    {
        Assert.Equal(Release.None, Plan(Deleted with { IsStopped = true, IsDeleting = false }, Machine("a")).Release);
        Assert.Equal(Release.None, Plan(Deleted with { IsStopped = true, StopFinalizerAt = -1 }, Machine("a")).Release);
    }

    [Theory]
    [InlineData(39, false)]
    [InlineData(40, true)]
    public void Nothing_waits_for_a_node_that_is_gone_for_forty_seconds(int seconds, bool released)
    {
        var plan = WorkloadPlanner.Plan(Deleted, Absent(Now), Now.AddSeconds(seconds));

        Assert.Equal(released ? Release.NodeGone : Release.None, plan.Release);
        Assert.Equal(released ? null : Now.AddSeconds(40), plan.LookAgainAt);
    }

    [Fact]
    public void An_absence_in_a_doubtful_list_is_none_yet() =>
        Assert.Equal(Release.None, WorkloadPlanner.Plan(Deleted, Facts(Set(), [], Deleted), Now).Release);

    [Theory]
    [InlineData(true, true, false)]
    [InlineData(false, false, false)]
    [InlineData(false, true, true)]
    public void A_node_must_be_both_not_ready_and_declared_out_of_service(bool ready, bool tainted, bool released)
    {
        var node = Machine("a", "", tainted ? [new Taint(Taint.OutOfService, "nodeshutdown", Taint.NoExecute, null)] : []) with { Ready = ready };

        Assert.Equal(released ? Release.OutOfService : Release.None, Plan(Deleted, node).Release);
    }

    [Fact]
    public void The_annotation_forces_a_release() => Assert.Equal(Release.Forced, Plan(Deleted with { MayBeForced = true }, Machine("a")).Release);

    [Fact]
    public void A_child_whose_set_is_gone_or_another_one_is_an_orphan()
    {
        var child = Child(Set(), "a");

        Assert.False(Plan(child, Machine("a")).IsOrphan);
        Assert.False(Plan(child with { Owner = null }, Machine("a")).IsOrphan);
        Assert.True(Plan(child with { Owner = new OwnerReference("web", "another-uid") }, Machine("a")).IsOrphan);
        Assert.True(Plan(child with { Owner = new OwnerReference("gone", Uid) }, Machine("a")).IsOrphan);
        Assert.False(Plan(child with { Owner = new OwnerReference("gone", Uid), IsDeleting = true }, Machine("a")).IsOrphan);
    }

    [Theory]
    // renewed seconds ago as seen here, seen to renew, condition before -> condition to write
    [InlineData(10, true, null, null)]
    [InlineData(179, true, null, null)]
    [InlineData(180, true, null, true)]
    [InlineData(180, false, null, true)]
    [InlineData(10, false, true, null)]
    [InlineData(10, true, true, false)]
    [InlineData(200, true, true, null)]
    [InlineData(200, true, false, true)]
    public void A_lost_agent_is_said_once_and_only_said(int seconds, bool seen, bool? before, bool? written)
    {
        var child = Deleted with { AgentLost = before is { } was ? new ObjectCondition("AgentLost", was, "LeaseExpired", "", Now.AddHours(-1), 1) : null };
        var sighting = new AgentSighting("2030-01-01T11:00:00Z", seen, Now.AddSeconds(180 - seconds));
        var cluster = Facts(Set(), [Machine("a")], child) with { Agents = ImmutableDictionary<string, AgentSighting>.Empty.Add("a", sighting) };

        var plan = WorkloadPlanner.Plan(child, cluster, Now);

        Assert.Equal(written, plan.AgentLost?.IsTrue);
        Assert.Equal(Release.None, plan.Release);
        Assert.Equal(seconds < 180 ? Now.AddSeconds(180 - seconds) : null, plan.LookAgainAt);
        Assert.Null(WorkloadPlanner.Plan(child, cluster with { AgentsInDoubt = true }, Now).AgentLost);
    }

    [Fact]
    public void Leases_are_judged_by_when_they_are_seen_to_change()
    {
        var duration = TimeSpan.FromSeconds(60);
        var leases = new Dictionary<string, LeaseFacts>
        {
            ["fresh"] = new("t0", Now.AddSeconds(-5), duration), ["stale"] = new("t0", Now.AddHours(-1), duration), ["ahead"] = new("t0", Now.AddHours(5), duration),
        };
        var first = AgentSighting.Next(ImmutableDictionary<string, AgentSighting>.Empty, leases, ["fresh", "stale", "ahead", "none"], false, Now);
        Assert.Equal((AgentHealth.Alive, AgentHealth.Unknown, AgentHealth.Alive, AgentHealth.Unknown), Health(first, Now));
        Assert.Equal((AgentHealth.Lost, AgentHealth.Lost, AgentHealth.Lost, AgentHealth.Unknown), Health(first, Now.AddSeconds(60)));
        Assert.Equal(AgentHealth.Lost, first["none"].Health(Now.AddSeconds(180)));

        leases["stale"] = new("t1", Now.AddHours(-1).AddSeconds(10), duration); // its clock is wrong, and it lives
        var second = AgentSighting.Next(first, leases, ["fresh", "stale", "ahead", "none"], false, Now.AddSeconds(30));
        Assert.Equal((AgentHealth.Lost, AgentHealth.Alive, AgentHealth.Lost, AgentHealth.Unknown), Health(second, Now.AddSeconds(70)));

        var third = AgentSighting.Next(second, leases, ["fresh", "stale", "ahead", "none"], true, Now.AddSeconds(70)); // the list was in doubt
        Assert.Equal((AgentHealth.Unknown, AgentHealth.Alive, AgentHealth.Unknown, AgentHealth.Unknown), Health(third, Now.AddSeconds(100)));
    }

    private static (AgentHealth Fresh, AgentHealth Stale, AgentHealth Ahead, AgentHealth None) Health(ImmutableDictionary<string, AgentSighting> sightings, DateTimeOffset now) =>
        (sightings["fresh"].Health(now), sightings["stale"].Health(now), sightings["ahead"].Health(now), sightings["none"].Health(now));

    private static WorkloadPlan Plan(Workload workload, NodeFacts node) => WorkloadPlanner.Plan(workload, Facts(Set(), [node], workload), Now);

    private static ClusterFacts Absent(DateTimeOffset since) =>
        Facts(Set(), [], Deleted) with { AbsentSince = ImmutableDictionary<string, DateTimeOffset>.Empty.Add("a", since) };
}
