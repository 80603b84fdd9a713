using System.Collections.Immutable;
using System.Text;
using Reconciler.Core.Model;
using Reconciler.Sources.Kubernetes;
using Reconciler.Sources.Manifests;
using Reconciler.Testing;

namespace Reconciler.Sources.Tests.Kubernetes;

public sealed class ClusterMergeTests
{
    private static readonly ManifestOptions Options = new() { NodeName = "node-1" };

    private readonly ClusterMerge _merge = new(Options);

    [Fact]
    public void What_the_cluster_has_is_declared_and_remembered()
    {
        var result = _merge.Merge(State("10", Workload("web")), ClusterMemory.Empty, false);
        Assert.True(result.State.Synced);
        Assert.Equal([ResourceKey.Container("default", "web", "main")], result.State.Resources.Keys);
        Assert.All(result.State.Resources.Values, resource => Assert.Equal("kubernetes", resource.Source));
        Assert.Equal(("10", 1), (result.Memory.ResourceVersion, result.Memory.Objects.Count));
    }

    [Fact]
    public void Without_an_answer_the_remembered_stays_in_force_and_is_a_doubt()
    {
        var memory = _merge.Merge(State("10", Workload("web")), ClusterMemory.Empty, false).Memory;
        var result = new ClusterMerge(Options).Merge(ClusterState.Nothing with { Doubt = "refused" }, memory, false);
        Assert.Equal((false, "refused", 1), (result.State.Synced, result.State.Doubt, result.State.Resources.Count));
        Assert.Same(memory, result.Memory);
    }

    [Fact]
    public void An_object_that_is_gone_or_going_is_not_declared()
    {
        var memory = _merge.Merge(State("10", Workload("a"), Workload("b")), ClusterMemory.Empty, false).Memory;
        var result = _merge.Merge(State("12", Workload("b", extra: ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"")), memory, false);
        Assert.Empty(result.State.Resources);
        Assert.True(result.State.Synced);
        Assert.Empty(result.Memory.Objects);
        Assert.Single(result.Workloads);
    }

    [Fact]
    public void A_refused_version_leaves_the_last_good_one_in_force()
    {
        var memory = _merge.Merge(State("10", Workload("web")), ClusterMemory.Empty, false).Memory;
        var result = _merge.Merge(State("11", Workload("web", image: "not an image", generation: 2)), memory, false);
        var workload = Assert.Single(result.Workloads).Value;
        Assert.True(workload.Refused);
        Assert.NotEmpty(workload.Problems);
        Assert.Equal("docker.io/library/busybox:1", Assert.IsType<ContainerSpec>(Assert.Single(result.State.Resources).Value).Process.Image);
        Assert.Equal(memory.Objects, result.Memory.Objects);
        Assert.Empty(result.State.Held);
    }

    [Theory]
    [InlineData(1, false)]
    [InlineData(2, true)]
    public void A_refused_version_without_a_memory_holds_removals_only_if_an_earlier_one_may_run(int generation, bool held)
    {
        var result = _merge.Merge(State("11", Workload("web", image: "not an image", generation: generation)), ClusterMemory.Empty, false);
        Assert.Equal(held, !result.State.Held.IsEmpty);
    }

    [Fact]
    public void The_last_good_version_of_another_object_of_the_same_name_does_not_count()
    {
        var memory = _merge.Merge(State("10", Workload("web", uid: "old")), ClusterMemory.Empty, false).Memory;
        Assert.Empty(_merge.Merge(State("11", Workload("web", image: "not an image", uid: "new")), memory, false).State.Resources);
    }

    [Fact]
    public void An_older_server_removes_nothing_changes_what_it_has_and_stays_suspect_until_the_loss_is_accepted()
    {
        var memory = _merge.Merge(State("100", Workload("a"), Workload("b")), ClusterMemory.Empty, false).Memory;
        var held = _merge.Merge(State("50", Workload("a", image: "busybox:2")), memory, false);
        Assert.StartsWith("SourceRegressed", held.State.Doubt, StringComparison.Ordinal);
        Assert.False(held.State.Synced);
        Assert.Equal(2, held.State.Resources.Count);
        Assert.Contains(held.State.Resources.Values, resource => resource is ContainerSpec { Workload: "a", Process.Image: "docker.io/library/busybox:2" });

        // Also once the server has counted past the old version, and after a restart of the agent.
        var later = new ClusterMerge(Options).Merge(State("200", Workload("a")), held.Memory, false);
        Assert.False(later.State.Synced);
        Assert.Equal(2, later.State.Resources.Count);

        var accepted = _merge.Merge(State("201", Workload("a")), later.Memory, true);
        Assert.True(accepted.State.Synced);
        Assert.Single(accepted.State.Resources);
        Assert.Equal(("201", false), (accepted.Memory.ResourceVersion, accepted.Memory.Regressed));
    }

    [Fact]
    public void Objects_of_other_nodes_declare_nothing() =>
        Assert.Empty(_merge.Merge(State("10", Workload("web", node: "node-2")), ClusterMemory.Empty, false).State.Resources);

    [Fact]
    public void The_memory_survives_the_disk_and_a_damaged_one_is_told()
    {
        using var folder = new TempFolder();
        var memory = _merge.Merge(State("50", Workload("a")), _merge.Merge(State("100", Workload("a"), Workload("b")), ClusterMemory.Empty, false).Memory, false).Memory;
        ClusterMemoryFile.In(folder.Path).Save(memory);
        var read = ClusterMemoryFile.In(folder.Path).Load(out var error);
        Assert.Null(error);
        Assert.True(memory.SameObjects(read));
        Assert.Equal((memory.ResourceVersion, true), (read.ResourceVersion, read.Regressed));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(folder["kubernetes.json"]));

        File.WriteAllText(folder["kubernetes.json"], File.ReadAllText(folder["kubernetes.json"]).Replace("busybox", "otherbox", StringComparison.Ordinal));
        Assert.Same(ClusterMemory.Empty, ClusterMemoryFile.In(folder.Path).Load(out error));
        Assert.Contains("damaged", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", "1", -1)]
    [InlineData("9", "10", -1)]
    [InlineData("10", "10", 0)]
    [InlineData("200", "199", 1)]
    public void Versions_compare_as_numbers(string left, string right, int sign) => Assert.Equal(sign, Math.Sign(ResourceVersion.Compare(left, right)));

    private static ClusterState State(string version, params string[] objects) => new(
        objects.Select(json => ClusterObject.Parse(Encoding.UTF8.GetBytes(json))).ToImmutableDictionary(read => read.Name), version, "");

    private static string Workload(string name, string image = "busybox:1", int generation = 1, string uid = "u", string node = "node-1", string extra = "") =>
        $$$"""
        {"apiVersion":"reconciler.dev/v1alpha1","kind":"NodeWorkload",
         "metadata":{"namespace":"default","name":"{{{name}}}","uid":"{{{uid}}}","resourceVersion":"7","generation":{{{generation}}},"managedFields":[{"manager":"x"}]{{{extra}}}},
         "spec":{"nodeName":"{{{node}}}","hostNetwork":true,"containers":[{"name":"main","image":"{{{image}}}"}]},
         "status":{"observedGeneration":-1}}
        """;
}
