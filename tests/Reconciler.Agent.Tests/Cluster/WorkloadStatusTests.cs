using System.Collections.Immutable;
using System.Text;
using System.Text.Json.Nodes;
using Reconciler.Agent.Cluster;
using Reconciler.Agent.Runtime;
using Reconciler.Agent.State;
using Reconciler.Containerd;
using Reconciler.Core.Model;
using Reconciler.Core.Ports;
using Reconciler.Sources.Kubernetes;
using ImageSpec = Reconciler.Core.Model.ImageSpec;

namespace Reconciler.Agent.Tests.Cluster;

public sealed class WorkloadStatusTests
{
    private static readonly ContainerSpec Web = new()
    {
        Key = ResourceKey.Container("default", "web", "main"), Source = "kubernetes", Namespace = "default", Workload = "web", Name = "main",
        Process = new ContainerProcess { Image = "docker.io/library/busybox:1" }, Hash = "h1",
    };

    /// <summary>Reason and readiness of the report to Ready, Reconciling, Stalled and Ready's reason.</summary>
    [Theory]
    [InlineData("Running", true, 0, "True False False Running")]
    [InlineData("ImageStale", true, 0, "True False False ImageStale")]
    [InlineData("Creating", false, 0, "False True False Creating")]
    [InlineData("Replacing", false, 0, "False True False Replacing")]
    [InlineData("CrashLoopBackOff", false, 0, "False True False CrashLoopBackOff")]
    [InlineData("Completed", false, 0, "True False False Completed")]
    [InlineData("Error", false, 0, "False False True Error")]
    [InlineData("OOMKilled", false, 0, "False False True OOMKilled")]
    [InlineData("Paused", false, 0, "False False True Paused")]
    [InlineData("ErrImageNeverPull", false, 0, "False False True ErrImageNeverPull")]
    [InlineData("Unknown", false, 0, "False True False Unknown")]
    [InlineData("ContainerdUnavailable", false, 0, "False True False ContainerdUnavailable")]
    [InlineData("ImageStale", true, 3, "True False False ImageStale")]
    [InlineData("ImageNotFound", false, 2, "False False True ImageNotFound")]
    public void A_report_becomes_conditions(string reason, bool ready, int attempt, string expected) =>
        Assert.Equal(expected, Told(Of([Web], Report(Web, reason, ready, attempt))));

    [Fact]
    public void Without_a_report_or_with_one_of_an_older_spec_it_is_reconciling()
    {
        Assert.Equal("False True False Pending", Told(Of([Web], null)));
        Assert.Equal("False True False Pending", Told(Of([Web], Report(Web, "Running", true) with { SpecHash = "h0" })));
    }

    [Fact]
    public void A_container_that_ended_nobody_knows_how_and_is_not_started_again_is_stalled()
    {
        var ended = new Actual([Running() with { State = ContainerState.Exited, ExitCode = null }], null);
        Assert.Equal("False False True Unknown", Told(Of([Web], Report(Web, "Unknown", false), ended)));
    }

    [Fact]
    public void Suspend_counts_once_the_loop_has_said_so()
    {
        var suspended = Web with { Suspend = true };
        Assert.Equal("False True False Pending", Told(Of([suspended], Report(Web, "Running", true))));
        Assert.Equal("True False False Suspended", Told(Of([suspended], Report(Web, "Suspended", false))));
        Assert.Equal("False True False Pending", Told(Of([Web], Report(Web, "Suspended", false))));
    }

    [Fact]
    public void A_container_that_a_folder_declares_is_overridden()
    {
        var actual = new Actual([Running() with { Source = "file:/etc/m/web.yaml" }], null);
        var status = Of([Web], Report(Web, "Running", true), actual);
        Assert.Equal("False False True Overridden", Told(status));
        Assert.Contains("file:/etc/m/web.yaml", status.Conditions[0].Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_container_shows_state_image_restarts_and_exit()
    {
        var exited = Running() with { State = ContainerState.Exited, ExitCode = 3, Restarts = 7, FinishedAt = DateTimeOffset.UnixEpoch };
        var container = Of([Web], Report(Web, "CrashLoopBackOff", false), new Actual([exited], null)).Containers.Single();
        Assert.Equal(("main", "Terminated", 3, 7, "sha256:1"), (container.Name, container.State, container.ExitCode, container.RestartCount, container.ImageId));
        Assert.Equal("Waiting", Of([Web], null).Containers.Single().State);
        Assert.Equal("Running", Of([Web], null, new Actual([Running()], null)).Containers.Single().State);
    }

    [Fact]
    public void A_pull_shows_how_far_it_is_and_its_progress_alone_is_no_transition()
    {
        PullProgress Pull(long offset) => new("docker.io/library/busybox:1", default, [new ProgressInfo("layer-1", "downloading", offset, 4_000_000, default, default, 0, "")]);
        var before = Of([Web], null, pulls: [Pull(1_000_000)]);
        var after = Of([Web], null, pulls: [Pull(2_000_000)]);
        Assert.Equal("False True False Pulling", Told(before));
        Assert.Equal("1.0 of 4.0 MB", before.Containers.Single().PullProgress);
        Assert.NotEqual(before, after);
        Assert.Equal(before.Settled, after.Settled);
    }

    [Fact]
    public void An_image_alone_is_ready_once_it_is_there()
    {
        var image = new ImageSpec { Key = ResourceKey.Image("docker.io/library/redis:7"), Source = "kubernetes" };
        var report = new KeyState { Kind = ResourceKind.Image, Name = image.Key.Name, Ready = true, Reason = "Present" };
        var status = Of([image], report, new Actual([], new ActualImage { Reference = image.Key.Name, Digest = "sha256:2" }));
        Assert.Equal("True False False Present", Told(status));
        Assert.Equal(("docker.io/library/redis:7", true, "sha256:2"), (status.Images.Single().Image, status.Images.Single().Present, status.Images.Single().ImageId));
    }

    [Fact]
    public void A_refused_object_is_stalled_with_field_and_remedy()
    {
        var refused = Workload([]) with { Refused = true, Problems = [new Problem("kubernetes default/web", 0, "spec.x", "is wrong", "right it")] };
        var status = WorkloadStatus.Of(refused, "", _ => null, _ => Actual.Nothing, [], Dated);
        Assert.Equal("False False True InvalidSpec", Told(status));
        Assert.Equal("spec.x: is wrong (right it)", status.Conditions[0].Message);
    }

    [Fact]
    public void Deletion_is_stopped_once_nothing_is_left()
    {
        Assert.False(WorkloadStatus.OfDeleted(Workload([]), [Web.Key], Dated).Conditions.Single(condition => condition.Type == "Stopped").IsTrue);
        Assert.True(WorkloadStatus.OfDeleted(Workload([]), [], Dated).Conditions.Single(condition => condition.Type == "Stopped").IsTrue);
    }

    [Fact]
    public void What_is_written_names_object_version_and_times()
    {
        var workload = Workload([Web]);
        var json = JsonNode.Parse(WorkloadStatus.Of(workload, "", _ => null, _ => Actual.Nothing, [], Dated).Write(workload.Object))!;
        Assert.Equal(("u1", "77"), ((string?)json["metadata"]!["uid"], (string?)json["metadata"]!["resourceVersion"]));
        Assert.Equal(4, (int)json["status"]!["observedGeneration"]!);
        Assert.Equal("2023-11-14T22:13:20Z", (string?)json["status"]!["conditions"]![0]!["lastTransitionTime"]);
    }

    private static WorkloadStatus Of(ImmutableArray<DesiredResource> resources, KeyState? report, Actual? actual = null, IReadOnlyList<PullProgress>? pulls = null) =>
        WorkloadStatus.Of(Workload(resources), "", _ => report, _ => actual ?? Actual.Nothing, pulls ?? [], Dated);

    private static ObjectCondition Dated(string type, bool isTrue, string reason, string message) =>
        ObjectCondition.Now(type, isTrue, reason, message, 4, null, DateTimeOffset.FromUnixTimeSeconds(1_700_000_000));

    private static KeyState Report(ContainerSpec spec, string reason, bool ready, int attempt = 0) =>
        new() { Namespace = spec.Namespace, Name = spec.Key.Name, Reason = reason, Ready = ready, Attempt = attempt, SpecHash = spec.Hash };

    private static ActualContainer Running() => new()
    {
        Id = "web-1", Key = Web.Key, SpecHash = "h1", Source = "kubernetes", State = ContainerState.Running, Incarnation = 1, ImageDigest = "sha256:1",
    };

    private static ClusterWorkload Workload(ImmutableArray<DesiredResource> resources) => new(
        ClusterObject.Parse(Encoding.UTF8.GetBytes("""{"metadata":{"namespace":"default","name":"web","uid":"u1","resourceVersion":"77","generation":4},"spec":{}}""")), [], false, resources);

    private static string Told(WorkloadStatus status)
    {
        string Is(string type) => status.Conditions.Single(condition => condition.Type == type).IsTrue ? "True" : "False";
        return $"{Is("Ready")} {Is("Reconciling")} {Is("Stalled")} {status.Conditions.Single(condition => condition.Type == "Ready").Reason}";
    }
}
