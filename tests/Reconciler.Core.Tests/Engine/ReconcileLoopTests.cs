using Reconciler.Core.Engine;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;
using Reconciler.Testing;
using Reconciler.Testing.Fakes;
using static Reconciler.Testing.Fakes.Specs;

namespace Reconciler.Core.Tests.Engine;

public sealed class ReconcileLoopTests
{
    private static readonly ContainerSpec App = Container();
    private static readonly ContainerSpec Side = Container("side");
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private static RuntimeException Error(RuntimeErrorKind kind) => new(kind, "Injected", "an injected fault");

    [Fact]
    public async Task What_is_declared_runs_and_is_reported()
    {
        await using var loop = new LoopHarness().Start();
        loop.Source.Declare(App, Side, ImageOf());
        await loop.UntilRunningAsync(App);
        await loop.UntilRunningAsync(Side);
        await loop.UntilReasonAsync(ResourceKey.Image(Image), "Present");
        Assert.Equal(App.Hash, loop.Sink.Latest(App.Key)!.SpecHash);
        Assert.Empty(loop.Node.Violations);
    }

    [Fact]
    public async Task An_exit_is_healed_by_its_event_without_any_time_passing()
    {
        await using var loop = new LoopHarness().Start();
        loop.Source.Declare(App);
        await loop.UntilRunningAsync(App);
        loop.Node.Exit(App.Key, 1);
        await loop.UntilAsync(() => loop.Node.Running(App.Key) is { Restarts: 1 } && loop.Node.Containers.Count == 1, "the restart");
        Assert.Equal(Now, loop.Time.GetUtcNow());
        Assert.Empty(loop.Node.Violations);
    }

    [Fact]
    public async Task A_crash_loop_backs_off_and_says_so_and_a_changed_spec_ends_it()
    {
        await using var loop = new LoopHarness().Start();
        loop.Source.Declare(App);
        foreach (var backoff in (int[])[0, 1, 2, 4])
        {
            await loop.UntilRunningAsync(App);
            loop.Node.Exit(App.Key, 1);
            if (backoff > 0) await loop.PassWaitAsync(App.Key, IsCrashLoop(loop, backoff), $"a wait of {backoff} s");
        }
        await loop.UntilRunningAsync(App);
        loop.Node.Exit(App.Key, 1);
        await loop.UntilAsync(() => loop.Sink.Latest(App.Key) is { } report && IsCrashLoop(loop, 8)(report), "a wait of 8 s");
        var changed = Container(version: "2");
        loop.Source.Declare(changed);
        await loop.UntilRunningAsync(changed);
        Assert.Equal(4, loop.Node.Running(App.Key)!.Restarts);
    }

    private static Func<StatusReport, bool> IsCrashLoop(LoopHarness loop, int backoff) => report =>
        report.Condition.Reason == "CrashLoopBackOff"
        && loop.Node.Containers is [{ FinishedAt: { } finished }] && report.NextTry == finished + TimeSpan.FromSeconds(backoff);

    [Fact]
    public async Task Changing_one_container_leaves_its_sibling_alone()
    {
        await using var loop = new LoopHarness().Start();
        loop.Source.Declare(App, Side);
        await loop.UntilRunningAsync(App);
        await loop.UntilRunningAsync(Side);
        var pid = loop.Node.Running(Side.Key)!.Pid;
        var changed = Container(version: "2");
        loop.Source.Declare(changed, Side);
        await loop.UntilRunningAsync(changed);
        Assert.Equal(pid, loop.Node.Running(Side.Key)!.Pid);
        Assert.Equal(2, loop.Node.Containers.Count);
    }

    [Fact]
    public async Task What_is_no_longer_declared_is_removed_cleaned_and_forgotten()
    {
        await using var loop = new LoopHarness().Start();
        loop.Source.Declare(App, Side);
        await loop.UntilRunningAsync(App);
        await loop.UntilRunningAsync(Side);
        loop.Source.Declare(Side);
        await loop.UntilAsync(() => loop.Sink.Latest(App.Key) is null, "the key to be forgotten");
        Assert.Equal([Side.Key], loop.Node.Containers.Select(c => c.Key));
        await loop.UntilAsync(() => loop.Runtime.Cleaned is { Count: 1 } left && left.Single() == Side.Key, "the workload to be cleaned");
    }

    [Fact]
    public async Task Nothing_is_removed_before_every_source_was_read_while_creation_goes_on()
    {
        var cluster = new FakeSource("kubernetes");
        await using var loop = new LoopHarness();
        loop.Node.Put(Of(Side));
        loop.Start(cluster);
        loop.Source.Declare(App);
        await loop.UntilRunningAsync(App);
        await loop.UntilReasonAsync(Side.Key, "SourceUnavailable");
        Assert.NotNull(loop.Node.Running(Side.Key));
        cluster.Declare();
        await loop.UntilAsync(() => loop.Node.Running(Side.Key) is null, "the removal");
    }

    [Fact]
    public async Task What_no_event_told_is_corrected_by_the_next_list()
    {
        await using var loop = new LoopHarness().Start();
        loop.Source.Declare(App);
        await loop.UntilRunningAsync(App);
        loop.Node.DeleteRecord(loop.Node.Running(App.Key)!.Id);
        await loop.UntilAsync(() => loop.Node.Running(App.Key) is not null, "the container again", Second);
    }

    [Fact]
    public async Task A_gap_recovers_and_lists()
    {
        await using var loop = new LoopHarness().Start();
        loop.Source.Declare(App);
        await loop.UntilRunningAsync(App);
        var (lists, recoveries) = (loop.Runtime.Lists, loop.Runtime.Recoveries);
        loop.Node.DeleteRecord(loop.Node.Running(App.Key)!.Id);
        loop.Node.Raise(new RuntimeEvent.Gap("test"));
        // The list of the declaration may still come, and be the one that finds the container gone.
        await loop.UntilAsync(
            () => loop.Node.Running(App.Key) is not null && loop.Runtime.Lists > lists && loop.Runtime.Recoveries > recoveries, "the container again, a recovery and a list");
    }

    [Fact]
    public async Task Nothing_is_done_before_the_first_recovery_and_list()
    {
        await using var loop = new LoopHarness();
        loop.Node.Put(Of(App));
        var down = true;
        loop.Runtime.Fault = step => down && step is "recover" or "list" ? Error(RuntimeErrorKind.Unavailable) : null;
        loop.Start();
        loop.Source.Declare(App, Side);
        await loop.UntilAsync(() => loop.Runtime.Steps.Count(step => step == "recover") > 3, "some tries", Second);
        Assert.DoesNotContain("observe", loop.Runtime.Steps);
        down = false;
        loop.Runtime.Fault = _ => null;
        await loop.UntilRunningAsync(Side, Second);
        await loop.UntilRunningAsync(App);
        Assert.Equal(7, loop.Node.Running(App.Key)!.Pid);
    }

    [Fact]
    public async Task A_runtime_that_does_not_answer_is_waited_for_and_counts_as_no_failure()
    {
        await using var loop = new LoopHarness();
        loop.Runtime.Fault = step => step == "create" ? Error(RuntimeErrorKind.Unavailable) : null;
        loop.Start();
        loop.Source.Declare(App);
        await loop.UntilAsync(() => loop.Runtime.Steps.Count(step => step == "create") > 15, "many tries", Second);
        Assert.Equal(0, loop.Sink.Latest(App.Key)!.Attempt);
        Assert.Equal("Injected", loop.Sink.Latest(App.Key)!.Condition.Reason);
        loop.Runtime.Fault = _ => null;
        await loop.UntilRunningAsync(App, Second);
        Assert.DoesNotContain(loop.Sink.Reports, report => report.Condition.Reason == ConditionReason.NotConverging);
    }

    [Fact]
    public async Task A_failed_pull_is_tried_with_doubling_backoff_until_it_works()
    {
        await using var loop = new LoopHarness();
        loop.Node.RegistryAway = true;
        loop.Start();
        loop.Source.Declare(App);
        foreach (var attempt in (int[])[1, 2, 3, 4])
        {
            var before = loop.Time.GetUtcNow();
            await loop.PassWaitAsync(App.Key, report => report.Attempt == attempt, $"attempt {attempt}");
            Assert.Equal(Math.Pow(2, attempt - 1), (loop.Time.GetUtcNow() - before).TotalSeconds);
        }
        await loop.UntilAsync(() => loop.Sink.Latest(App.Key) is { Attempt: 5 }, "the fifth attempt");
        Assert.Equal("RegistryUnreachable", loop.Sink.Latest(App.Key)!.Condition.Reason);
        loop.Node.RegistryAway = false;
        await loop.UntilRunningAsync(App, Second);
        Assert.Equal(0, loop.Sink.Latest(App.Key)!.Attempt);
    }

    [Fact]
    public async Task A_changed_spec_ends_a_failure_backoff_at_once()
    {
        await using var loop = new LoopHarness().Start();
        var missing = Container(image: "docker.io/library/missing:1");
        loop.Source.Declare(missing);
        await loop.UntilAsync(() => loop.Sink.Latest(App.Key) is { Attempt: 3 }, "three attempts", Second);
        loop.Source.Declare(App);
        await loop.UntilRunningAsync(App);
    }

    [Fact]
    public async Task An_exit_is_looked_at_during_a_failure_backoff()
    {
        await using var loop = new LoopHarness().Start();
        loop.Source.Declare(App);
        await loop.UntilRunningAsync(App);
        loop.Source.Declare(Container(version: "2", image: "docker.io/library/missing:1"));
        await loop.UntilAsync(() => loop.Sink.Latest(App.Key) is { Attempt: 1 }, "the failure");
        loop.Node.Exit(App.Key, 1);
        await loop.UntilAsync(() => loop.Sink.Latest(App.Key) is { Attempt: 2 }, "the second attempt");
        Assert.Equal(Now, loop.Time.GetUtcNow());
    }

    [Fact]
    public async Task A_newer_spec_ends_the_pull_of_the_older_one()
    {
        await using var loop = new LoopHarness();
        loop.Node.Registry["docker.io/library/slow:1"] = "sha256:5";
        var pulling = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        loop.Runtime.DuringPull = async token =>
        {
            if (!pulling.TrySetResult()) return;
            await Task.Delay(Timeout.InfiniteTimeSpan, loop.Time, token);
        };
        loop.Start();
        loop.Source.Declare(Container(image: "docker.io/library/slow:1"));
        await pulling.Task.WaitAsync(Eventually.DefaultLimit, TestContext.Current.CancellationToken);
        loop.Source.Declare(App);
        await loop.UntilRunningAsync(App);
        Assert.Equal(0, loop.Sink.Latest(App.Key)!.Attempt);
    }

    [Fact]
    public async Task A_long_pull_holds_up_no_other_key()
    {
        await using var loop = new LoopHarness();
        loop.Node.Put(Present());
        loop.Runtime.DuringPull = token => Task.Delay(Timeout.InfiniteTimeSpan, loop.Time, token);
        loop.Start();
        loop.Source.Declare([App, .. Enumerable.Range(0, 50).Select(i => ImageOf($"docker.io/library/slow:{i}"))]);
        await loop.UntilAsync(() => loop.Runtime.Executed.OfType<NodeAction.PullImage>().Count() == 50, "all pulls to be under way");
        Assert.Equal(50, loop.Sink.Begun.Where(planned => planned.Plan.Actions is [NodeAction.PullImage]).DistinctBy(planned => planned.Key).Count());
        await loop.UntilRunningAsync(App);
        loop.Node.Exit(App.Key, 1);
        await loop.UntilAsync(() => loop.Node.Running(App.Key) is { Restarts: 1 }, "the restart");
    }

    [Fact]
    public async Task Stopping_ends_pulls_and_grace_periods_and_leaves_containers_running()
    {
        await using var loop = new LoopHarness();
        loop.Node.IgnoresStop.Add(Side.Key);
        loop.Node.Put(Of(Side));
        loop.Runtime.DuringPull = token => Task.Delay(Timeout.InfiniteTimeSpan, loop.Time, token);
        loop.Node.Put(Present());
        loop.Start();
        loop.Source.Declare(App, ImageOf("docker.io/library/slow:1"));
        await loop.UntilRunningAsync(App);
        await loop.UntilAsync(() => loop.Node.Containers.Any(c => c.StopBy is not null), "the stop to be under way");
        await loop.StopAsync();
        await loop.Run.WaitAsync(Eventually.DefaultLimit, TestContext.Current.CancellationToken);
        Assert.NotNull(loop.Node.Running(App.Key));
        Assert.Equal(Now.AddSeconds(30), loop.Node.Running(Side.Key)!.StopBy);
    }

    [Fact]
    public async Task The_next_agent_finishes_a_stop_at_its_time_without_a_second_signal()
    {
        await using var first = new LoopHarness();
        first.Node.IgnoresStop.Add(Side.Key);
        first.Node.Put(Of(Side));
        first.Start();
        first.Source.Declare(App);
        await first.UntilAsync(() => first.Node.Containers.Any(c => c.StopBy is not null), "the stop to be under way");
        await first.StopAsync();
        await first.Run.WaitAsync(Eventually.DefaultLimit, TestContext.Current.CancellationToken);
        await using var second = new LoopHarness(first.Node, first.Time).Start();
        second.Source.Declare(App);
        await second.UntilAsync(() => second.Runtime.Executed.Any(a => a is NodeAction.StopContainer { Deadline: not null }), "the stop to be taken up");
        Assert.NotNull(second.Node.Running(Side.Key));
        await second.UntilAsync(() => second.Node.Containers.All(c => c.Key != Side.Key), "the end of the grace period", Second);
        Assert.True(second.Time.GetUtcNow() >= Now.AddSeconds(30));
        Assert.Empty(second.Node.Violations);
    }

    [Fact]
    public async Task A_pass_that_does_not_end_is_abandoned_when_the_loop_stops()
    {
        await using var loop = new LoopHarness();
        var pulling = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var deaf = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        loop.Runtime.DuringPull = _ =>
        {
            pulling.TrySetResult();
            return deaf.Task;
        };
        loop.Start();
        loop.Source.Declare(App);
        await pulling.Task.WaitAsync(Eventually.DefaultLimit, TestContext.Current.CancellationToken);
        await loop.StopAsync();
        await Eventually.UntilAsync(
            () =>
            {
                loop.Time.Advance(Second);
                return loop.Run.IsCompleted;
            }, "the loop to give up");
        deaf.SetResult();
    }

    [Fact]
    public async Task A_backoff_goes_on_over_a_restart_of_the_agent_unless_the_spec_changed()
    {
        await using var loop = new LoopHarness();
        loop.Sink.Memory[App.Key] = new KeyMemory(5, Now.AddSeconds(100), App.Hash, new Condition(false, "ImagePullFailed"));
        loop.Sink.Memory[Side.Key] = new KeyMemory(5, Now.AddSeconds(100), "v1-other", new Condition(false, "ImagePullFailed"));
        loop.Start();
        loop.Source.Declare(App, Side);
        await loop.UntilRunningAsync(Side);
        Assert.DoesNotContain(loop.Runtime.Executed, a => a is NodeAction.CreateContainer create && create.Spec.Key == App.Key);
        await loop.UntilRunningAsync(App, Second);
        Assert.True(loop.Time.GetUtcNow() >= Now.AddSeconds(100));
    }

    [Fact]
    public async Task What_vanished_while_the_agent_was_down_is_forgotten()
    {
        await using var loop = new LoopHarness();
        loop.Sink.Memory[Side.Key] = new KeyMemory(5, Now.AddSeconds(100), "v1-other", new Condition(false, "ImagePullFailed"));
        loop.Start();
        loop.Source.Declare(App);
        await loop.UntilAsync(() => !loop.Sink.Memory.ContainsKey(Side.Key), "the key to be forgotten");
    }

    [Fact]
    public async Task With_the_registry_away_the_present_image_runs_and_is_called_stale()
    {
        await using var loop = new LoopHarness();
        loop.Node.RegistryAway = true;
        loop.Node.Put(Present() with { Resolved = false });
        loop.Start();
        loop.Source.Declare(App with { PullPolicy = ImagePullPolicy.Always }, ImageOf(policy: ImagePullPolicy.Always));
        await loop.UntilReasonAsync(App.Key, ConditionReason.ImageStale);
        await loop.UntilReasonAsync(ResourceKey.Image(Image), ConditionReason.ImageStale);
        Assert.True(loop.Sink.Latest(App.Key)!.Condition.Ready);
        loop.Node.RegistryAway = false;
        await loop.UntilReasonAsync(ResourceKey.Image(Image), ConditionReason.Present, Second);
        Assert.Equal(ConditionReason.ImageStale, loop.Sink.Latest(App.Key)!.Condition.Reason);
    }

    [Fact]
    public async Task What_never_gets_there_becomes_a_failure_with_backoff()
    {
        await using var loop = new LoopHarness();
        loop.Runtime.Fault = step => step == "create" ? Error(RuntimeErrorKind.Conflict) : null;
        loop.Start();
        loop.Source.Declare(App);
        await loop.UntilReasonAsync(App.Key, ConditionReason.NotConverging, TimeSpan.FromMilliseconds(100));
        loop.Runtime.Fault = _ => null;
        await loop.UntilRunningAsync(App, Second);
    }

    [Fact]
    public async Task An_unexpected_error_hurts_one_key_once()
    {
        await using var loop = new LoopHarness();
        var thrown = 0;
        loop.Runtime.Fault = step => step == "create" && Interlocked.Exchange(ref thrown, 1) == 0 ? new InvalidOperationException("a bug") : null;
        loop.Start();
        loop.Source.Declare(App, Side);
        await loop.UntilRunningAsync(App, Second);
        await loop.UntilRunningAsync(Side, Second);
        Assert.Contains(loop.Sink.Reports, report => report.Condition is { Reason: ConditionReason.InternalError, Message: "a bug" });
    }

    [Fact]
    public async Task A_source_that_breaks_is_watched_again()
    {
        var breaking = new BreakingSource();
        await using var loop = new LoopHarness().Start(breaking);
        loop.Source.Declare(App);
        await loop.UntilAsync(() => breaking.Watches >= 3, "the third watch", Second);
        await loop.UntilRunningAsync(App, Second);
    }

    private sealed class BreakingSource : IDesiredSource
    {
        private int _watches;

        public string Name => "kubernetes";

        public int Watches => Volatile.Read(ref _watches);

        public IAsyncEnumerable<SourceState> WatchAsync(CancellationToken cancellation)
        {
            Interlocked.Increment(ref _watches);
            throw new InvalidOperationException("broken");
        }
    }
}
