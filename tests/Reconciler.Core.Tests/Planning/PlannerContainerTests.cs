using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Testing.Fakes;
using static Reconciler.Testing.Fakes.Specs;

namespace Reconciler.Core.Tests.Planning;

public sealed class PlannerContainerTests
{
    private static readonly ContainerSpec Spec = Container();
    private static readonly ContainerSpec Changed = Container(version: "2");
    private static readonly long First = Now.ToUnixTimeSeconds();

    private static Plan Plan(ContainerSpec spec, Actual actual, DateTimeOffset? now = null) =>
        Planner.Plan(spec.Key, new Wish.Declared(spec), actual, now ?? Now);

    private static Plan Undeclared(params ActualContainer[] containers) =>
        Planner.Plan(Spec.Key, Wish.NotDeclared.Instance, new Actual([.. containers], null), Now);

    private static void Check(Plan plan, string actions, string reason, double? lookAgainSeconds = null)
    {
        Assert.Equal(actions, Plans.Show(plan));
        Assert.Equal(reason, plan.Condition.Reason);
        Assert.Equal(lookAgainSeconds, (plan.LookAgainAt - Now)?.TotalSeconds);
    }

    [Theory]
    [InlineData(ImagePullPolicy.IfNotPresent, true, "create {0} r0 f0", "Creating")]
    [InlineData(ImagePullPolicy.IfNotPresent, false, "pull; create {0} r0 f0", "Creating")]
    [InlineData(ImagePullPolicy.Always, true, "pull or present; create {0} r0 f0", "Creating")]
    [InlineData(ImagePullPolicy.Always, false, "pull; create {0} r0 f0", "Creating")]
    [InlineData(ImagePullPolicy.Never, true, "create {0} r0 f0", "Creating")]
    [InlineData(ImagePullPolicy.Never, false, "", "ErrImageNeverPull")]
    public void A_new_container_gets_its_image_by_policy(ImagePullPolicy policy, bool present, string actions, string reason) =>
        Check(Plan(Spec with { PullPolicy = policy }, new Actual([], present ? Present() : null)), string.Format(null, actions, First), reason);

    [Fact]
    public void A_running_container_with_the_wanted_hash_stays()
    {
        var plan = Plan(Spec, With(Of(Spec)));
        Check(plan, "", "Running");
        Assert.True(plan.Condition.Ready);
    }

    [Fact]
    public void A_running_container_stays_whatever_policy_grace_and_image_say()
    {
        var moved = new Actual([Of(Spec)], Present(digest: "sha256:2222"));
        Check(Plan(Spec with { PullPolicy = ImagePullPolicy.Always, RestartPolicy = RestartPolicy.Never }, moved), "", "Running");
        Check(Plan(Spec, new Actual([Of(Spec)], null)), "", "Running");
    }

    [Theory]
    [InlineData(ImagePullPolicy.IfNotPresent, true, "stop 1 30s; create 2 r3 f0; delete 1")]
    [InlineData(ImagePullPolicy.IfNotPresent, false, "pull; stop 1 30s; create 2 r3 f0; delete 1")]
    [InlineData(ImagePullPolicy.Always, true, "pull or present; stop 1 30s; create 2 r3 f0; delete 1")]
    public void A_changed_spec_pulls_first_then_stops_then_creates_then_deletes(ImagePullPolicy policy, bool present, string actions)
    {
        var old = Of(Spec) with { Restarts = 3, Failures = 2 };
        Check(Plan(Changed with { PullPolicy = policy }, new Actual([old], present ? Present() : null)), actions, "Replacing");
    }

    [Fact]
    public void A_changed_spec_without_its_image_and_policy_Never_leaves_the_old_one_running() =>
        Check(Plan(Changed with { PullPolicy = ImagePullPolicy.Never }, new Actual([Of(Spec)], null)), "", "ErrImageNeverPull");

    [Fact]
    public void A_changed_spec_ends_a_crash_backoff_at_once() =>
        Check(Plan(Changed, With(Dead(Spec, 1) with { Restarts = 9, Failures = 9 })), "create 2 r9 f0; delete 1", "Replacing");

    [Theory]
    [InlineData(0, 0, "create 2 r1 f1 same digest; delete 1", "Restarting", null)]
    [InlineData(1, 0, "record 1", "CrashLoopBackOff", 1.0)]
    [InlineData(2, 0, "record 1", "CrashLoopBackOff", 2.0)]
    [InlineData(5, 0, "record 1", "CrashLoopBackOff", 16.0)]
    [InlineData(9, 0, "record 1", "CrashLoopBackOff", 256.0)]
    [InlineData(40, 0, "record 1", "CrashLoopBackOff", 300.0)]
    [InlineData(1, 1, "create 2 r2 f2 same digest; delete 1", "Restarting", null)]
    [InlineData(5, 16, "create 2 r6 f6 same digest; delete 1", "Restarting", null)]
    public void An_exit_restarts_at_once_then_with_doubling_backoff(int failures, int secondsLater, string actions, string reason, double? due)
    {
        var plan = Plan(Spec, With(Dead(Spec, 1) with { Restarts = failures, Failures = failures }), Now.AddSeconds(secondsLater));
        Check(plan, actions, reason, due);
    }

    [Fact]
    public void Ten_minutes_of_running_reset_the_backoff_and_not_the_count()
    {
        var dead = Dead(Spec, 1) with { StartedAt = Now.AddMinutes(-10), Restarts = 7, Failures = 7 };
        Check(Plan(Spec, With(dead)), "create 2 r8 f1 same digest; delete 1", "Restarting");
        Check(Plan(Spec, With(dead with { StartedAt = Now.AddMinutes(-9.9) })), "record 1", "CrashLoopBackOff", 64);
    }

    [Theory]
    [InlineData(RestartPolicy.Always, 0, true)]
    [InlineData(RestartPolicy.Always, 1, true)]
    [InlineData(RestartPolicy.Always, null, true)]
    [InlineData(RestartPolicy.OnFailure, 0, false)]
    [InlineData(RestartPolicy.OnFailure, 1, true)]
    [InlineData(RestartPolicy.OnFailure, null, true)]
    [InlineData(RestartPolicy.Never, 0, false)]
    [InlineData(RestartPolicy.Never, 1, false)]
    [InlineData(RestartPolicy.Never, null, false)]
    public void The_restart_policy_decides_by_exit_code_and_unknown_is_a_failure(RestartPolicy policy, int? code, bool restarts)
    {
        var plan = Plan(Spec with { RestartPolicy = policy }, With(Dead(Spec, code)));
        Check(plan, restarts ? "create 2 r1 f1 same digest; delete 1" : "record 1", restarts ? "Restarting" : code == 0 ? "Completed" : "Error");
    }

    [Fact]
    public void A_recorded_exit_is_not_recorded_again_and_its_reason_is_shown()
    {
        var dead = Dead(Spec, 137) with { ExitRecorded = true, Reason = "OOMKilled" };
        var plan = Plan(Spec with { RestartPolicy = RestartPolicy.Never }, With(dead));
        Check(plan, "", "OOMKilled");
        Assert.Contains("exit code 137", plan.Condition.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_crash_restart_never_asks_a_registry_while_the_recorded_digest_is_there()
    {
        var moved = new Actual([Dead(Spec, 1)], Present(digest: "sha256:2222"));
        Check(Plan(Spec with { PullPolicy = ImagePullPolicy.Always }, moved), "create 2 r1 f1 same digest; delete 1", "Restarting");
        Check(Plan(Spec with { PullPolicy = ImagePullPolicy.Always }, new Actual([Dead(Spec, 1)], null)), "create 2 r1 f1 same digest; delete 1", "Restarting");
    }

    [Theory]
    [InlineData(ImagePullPolicy.Always, "pull; create 2 r1 f1; delete 1", "Restarting")]
    [InlineData(ImagePullPolicy.Never, "", "ErrImageNeverPull")]
    public void A_crash_restart_whose_image_is_gone_pulls(ImagePullPolicy policy, string actions, string reason) =>
        Check(Plan(Spec with { PullPolicy = policy }, new Actual([Dead(Spec, 1) with { ImagePresent = false }], null)), actions, reason);

    [Theory]
    [InlineData(ContainerState.NoTask)]
    [InlineData(ContainerState.Created)]
    public void What_was_made_and_never_started_is_replaced_with_the_same_counts(ContainerState state)
    {
        var half = Of(Spec, 4) with { State = state, StartedAt = null, Restarts = 3, Failures = 2 };
        Check(Plan(Spec with { RestartPolicy = RestartPolicy.Never }, With(half)), "create 5 r3 f2 same digest; delete 4", "Replacing");
    }

    [Theory]
    [InlineData(RestartPolicy.Always, "create 2 r1 f1 same digest; delete 1", "Restarting")]
    [InlineData(RestartPolicy.OnFailure, "create 2 r1 f1 same digest; delete 1", "Restarting")]
    [InlineData(RestartPolicy.Never, "record 1", "Error")]
    public void A_task_that_vanished_after_its_start_is_an_exit_without_a_code(RestartPolicy policy, string actions, string reason) =>
        Check(Plan(Spec with { RestartPolicy = policy }, With(Of(Spec) with { State = ContainerState.NoTask })), actions, reason);

    [Fact]
    public void An_unknown_state_waits_ten_seconds_and_then_kills_what_is_left()
    {
        var unknown = Of(Spec) with { State = ContainerState.Unknown, UnknownSince = Now.AddSeconds(-9) };
        Check(Plan(Spec, With(unknown)), "", "Unknown", 0.5);
        Check(Plan(Spec, With(unknown with { UnknownSince = Now.AddSeconds(-9.8) })), "", "Unknown", 0.2);
        Check(Plan(Spec, With(unknown with { UnknownSince = Now.AddSeconds(-10) })), "stop 1 0s; create 2 r1 f0 same digest; delete 1", "Unknown");
    }

    [Fact]
    public void A_paused_container_is_left_and_said() => Check(Plan(Spec, With(Of(Spec) with { State = ContainerState.Paused })), "", "Paused");

    [Fact]
    public void A_container_with_broken_logs_is_replaced() =>
        Check(Plan(Spec, With(Of(Spec) with { LogBroken = true, Failures = 1 })), "stop 1 30s; create 2 r1 f1 same digest; delete 1", "LogBroken");

    [Theory]
    [InlineData(RestartPolicy.Always)]
    [InlineData(RestartPolicy.Never)]
    public void A_wanted_restart_is_made_whatever_the_policy_and_counts_as_no_failure(RestartPolicy policy)
    {
        var spec = Spec with { RestartPolicy = policy };
        var running = Of(Spec) with { RestartWanted = true, Restarts = 7, Failures = 5 };
        Check(Plan(spec, With(running)), "stop 1 30s; create 2 r8 f0 same digest; delete 1", "Restarting");
        var ended = running with { State = ContainerState.Exited, ExitCode = 1, FinishedAt = Now, ExitRecorded = true };
        Check(Plan(spec, With(ended)), "create 2 r8 f0 same digest; delete 1", "Restarting");
        Check(Plan(spec with { Suspend = true }, With(ended)), "", "Suspended");
    }

    [Fact]
    public void Another_source_or_grace_only_changes_labels()
    {
        Check(Plan(Container(source: "kubernetes"), With(Of(Spec))), "adopt 1 kubernetes 30s", "Running");
        Check(Plan(Spec with { GracePeriod = TimeSpan.FromSeconds(5) }, With(Of(Spec))), $"adopt 1 {FileLabel} 5s", "Running");
    }

    [Fact]
    public void A_stop_under_way_is_finished_at_its_time_and_then_the_wanted_one_made()
    {
        var stopping = Of(Spec) with { StopBy = Now.AddSeconds(7) };
        Check(Plan(Spec, With(stopping)), "stop 1 at deadline 30s; create 2 r0 f0 same digest; delete 1", "Replacing");
        Check(Plan(Changed, With(stopping)), "stop 1 at deadline 30s; create 2 r0 f0; delete 1", "Replacing");
        Check(Undeclared(stopping), "stop 1 at deadline 30s; delete 1", "Removing");
    }

    [Fact]
    public void What_was_stopped_on_purpose_starts_again_without_counting_as_a_crash()
    {
        var stopped = Dead(Spec, 143) with { StopBy = Now, ExitRecorded = true, Failures = 4, Restarts = 4 };
        Check(Plan(Spec with { RestartPolicy = RestartPolicy.Never }, With(stopped)), "create 2 r4 f0 same digest; delete 1", "Replacing");
    }

    [Fact]
    public void Suspend_stops_and_keeps_the_newest_record()
    {
        var suspended = Spec with { Suspend = true };
        Check(Plan(suspended, With()), "", "Suspended");
        Check(Plan(suspended, With(Of(Spec))), "stop 1 30s", "Stopping");
        Check(Plan(suspended, With(Of(Changed, 2), Dead(Spec, 1))), "stop 2 30s; delete 1", "Stopping");
        Check(Plan(suspended, With(Dead(Spec, 1))), "record 1", "Suspended");
        Check(Plan(suspended, With(Dead(Spec, 1) with { ExitRecorded = true })), "", "Suspended");
        Check(Plan(suspended, With(Of(Spec) with { State = ContainerState.Created, StartedAt = null })), "delete 1", "Suspended");
    }

    [Fact]
    public void Of_several_the_live_one_with_the_wanted_hash_stays()
    {
        Check(Plan(Spec, With(Of(Spec, 2), Dead(Spec, 1))), "delete 1", "Running");
        Check(Plan(Spec, With(Of(Changed, 2), Of(Spec))), "stop 2 30s; delete 2", "Running");
        Check(Plan(Spec, With(Of(Spec, 3), Of(Spec, 2), Of(Spec))), "stop 2 30s; delete 2; stop 1 30s; delete 1", "Running");
        Check(Plan(Spec, With(Of(Spec, 2) with { State = ContainerState.NoTask, StartedAt = null }, Of(Spec))), "delete 2", "Running");
    }

    [Fact]
    public void Without_one_to_keep_the_newest_is_the_memory_and_live_ones_stop_first()
    {
        var half = Of(Changed, 2) with { State = ContainerState.NoTask, StartedAt = null, Restarts = 5 };
        Check(Plan(Changed, With(half, Of(Spec))), "stop 1 30s; create 3 r5 f0 same digest; delete 2; delete 1", "Replacing");
        Check(Plan(Spec, With(Dead(Spec, 1, 2) with { Failures = 3 }, Dead(Spec, 1))), "record 2; delete 1", "CrashLoopBackOff", 4);
    }

    [Fact]
    public void An_undeclared_container_goes_with_the_grace_it_was_declared_with()
    {
        Check(Undeclared(), "", "Removed");
        Check(Undeclared(Of(Spec) with { GracePeriod = TimeSpan.FromSeconds(3) }), "stop 1 3s; delete 1", "Removing");
        Check(Undeclared(Dead(Spec, 1)), "delete 1", "Removing");
        Check(Undeclared(Of(Spec, 2) with { State = ContainerState.Unknown }, Dead(Spec, 0)), "stop 2 0s; delete 2; delete 1", "Removing");
    }

    [Fact]
    public void On_a_doubt_nothing_is_done()
    {
        var plan = Planner.Plan(Spec.Key, new Wish.Doubt("the folder is gone"), With(Of(Changed, 2), Dead(Spec, 1)), Now);
        Check(plan, "", "SourceUnavailable");
        Assert.True(plan.Condition.Ready);
        Assert.Equal("the folder is gone", plan.Condition.Message);
        Assert.False(Planner.Plan(Spec.Key, new Wish.Doubt("x"), With(Dead(Spec, 1)), Now).Condition.Ready);
    }

    [Fact]
    public void A_clock_that_was_set_back_does_not_hold_a_restart() =>
        Check(Plan(Spec, With(Dead(Spec, 1) with { StartedAt = Now.AddDays(1), FinishedAt = Now.AddDays(1), Failures = 3 })), "create 2 r1 f4 same digest; delete 1", "Restarting");
}
