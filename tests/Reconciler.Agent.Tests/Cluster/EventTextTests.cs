using Reconciler.Agent.Cluster;
using Reconciler.Agent.State;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;
using Reconciler.Testing.Fakes;
using static Reconciler.Testing.Fakes.Specs;

namespace Reconciler.Agent.Tests.Cluster;

public sealed class EventTextTests
{
    private static readonly ContainerSpec App = Container();
    private static readonly ActualContainer Killed = Dead(App, 137);
    private static readonly ActualContainer Vanished = Of(App) with { State = ContainerState.NoTask, Pid = 0 };

    public static TheoryData<string, ContainerSpec, KeyState?, Actual, string> Containers() => new()
    {
        { "killed", App, Report(App), With(Killed), "Drifted: Container app was killed by someone (SIGKILL); it is started again" },
        { "removed", App, Report(App), With(), "Drifted: Container app was removed by someone; it is created again" },
        { "removed with its image", App, Report(App), Actual.Nothing, "Drifted: Container app was removed by someone; it is created again|Pulling: Pulling image docker.io/library/busybox:latest (the image is not on the node)" },
        { "task removed", App, Report(App), With(Vanished), "Drifted: The task of container app went without an exit: removed by someone, or the node was started anew; it is started again" },
        { "paused", App, Report(App), With(Of(App) with { State = ContainerState.Paused }), "Drifted: Container app was paused by someone; it stays so until it is resumed" },
        { "runs with a stale image, killed", App, Report(App) with { Reason = "ImageStale" }, With(Killed), "Drifted: Container app was killed by someone (SIGKILL); it is started again" },
        { "as declared", App, Report(App), With(Of(App)), "" },
        { "ended by itself", App, Report(App), With(Dead(App, 1)), "" },
        { "ended well", App, Report(App), With(Dead(App, 0)), "" },
        { "ended on a signal that it heard", App, Report(App), With(Dead(App, 143)), "" },
        { "out of memory", App, Report(App), With(Killed with { Reason = "OOMKilled" }), "" },
        { "killed after our own stop", App, Report(App), With(Killed with { StopBy = Now }), "" },
        { "is not started again", App with { RestartPolicy = RestartPolicy.Never }, Report(App), With(Killed), "" },
        { "told already", App, Report(App) with { Ready = false, Reason = "CrashLoopBackOff" }, With(Killed with { ExitRecorded = true }), "" },
        { "first time", App, null, Actual.Nothing, "Pulling: Pulling image docker.io/library/busybox:latest (the image is not on the node)" },
        { "changed", Container(version: "2"), Report(App), With(Of(App)), "" },
        { "suspended", App with { Suspend = true }, Report(App), With(), "" },
    };

    [Theory]
    [MemberData(nameof(Containers))]
    public void What_someone_did_to_a_container_is_told_apart_from_its_own_end(string what, ContainerSpec spec, KeyState? before, Actual actual, string expected)
    {
        Assert.NotEmpty(what);
        Assert.Equal(expected, Told(before, new Wish.Declared(spec), spec.Key, actual));
    }

    [Fact]
    public void What_is_not_declared_for_certain_has_not_drifted()
    {
        Assert.Equal("", Told(Report(App), new Wish.Doubt("away"), App.Key, With(Killed)));
        Assert.Equal("", Told(Report(App), Wish.NotDeclared.Instance, App.Key, With(Killed)));
    }

    [Fact]
    public void A_declared_image_that_was_there_is_told_when_it_is_not()
    {
        const string Pulling = "Pulling: Pulling image docker.io/library/busybox:latest (declared and not on the node)";
        var key = ResourceKey.Image(Image);
        var present = new KeyState { Kind = ResourceKind.Image, Name = Image, Ready = true, Reason = ConditionReason.Present };
        Assert.Equal($"Drifted: Image {Image} was removed by someone; it is pulled again|{Pulling}", Told(present, new Wish.Declared(ImageOf()), key, Actual.Nothing));
        Assert.Equal(Pulling, Told(null, new Wish.Declared(ImageOf()), key, Actual.Nothing));
        Assert.Equal("", Told(present, new Wish.Declared(ImageOf()), key, new Actual([], Present())));
        Assert.Equal("", Told(present, new Wish.Declared(ImageOf(policy: ImagePullPolicy.Never)), key, Actual.Nothing));
    }

    [Fact]
    public void A_report_tells_what_was_done_and_what_failed()
    {
        var create = new NodeAction.CreateContainer(App, 1, null, 0, 0, "declared and not there");
        Assert.Equal(["Pulled", "Created", "Started"], Reasons(new NodeAction.PullImage(Image, null, ""), create));
        Assert.Equal(["OOMKilled"], Reasons(new NodeAction.RecordExit("c", "OOMKilled, exit code 137")));
        Assert.Equal(["Exited"], Reasons(new NodeAction.RecordExit("c", "Error, exit code 1")));
        Assert.Empty(Reasons(new NodeAction.RecordExit("c", "Completed, exit code 0")));
        var failed = new StatusReport(App.Key, new Condition(false, "ImageNotFound", "no such image"), [new NodeAction.PullImage(Image, null, "")], 2, null, Now, App.Hash, Failed: true);
        Assert.Equal(new NodeEvent("Warning", "ImageNotFound", "Reconcile", "no such image (attempt 2)"), Assert.Single(EventText.Of(failed)));
    }

    private static IEnumerable<string> Reasons(params NodeAction[] actions) =>
        EventText.Of(new StatusReport(App.Key, new Condition(true, ConditionReason.Running), [.. actions], 0, null, Now, App.Hash)).Select(told => told.Reason);

    private static string Told(KeyState? before, Wish wish, ResourceKey key, Actual actual) =>
        string.Join('|', EventText.Of(before, new PlannedKey(key, wish, actual, Planner.Plan(key, wish, actual, Now))).Select(told => $"{told.Reason}: {told.Note}"));

    private static KeyState Report(ContainerSpec spec) =>
        new() { Namespace = spec.Namespace, Name = spec.Key.Name, Ready = true, Reason = ConditionReason.Running, SpecHash = spec.Hash };
}
