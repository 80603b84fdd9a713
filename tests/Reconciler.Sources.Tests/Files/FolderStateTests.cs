using Reconciler.Core.Model;
using Reconciler.Core.Ports;
using Reconciler.Sources.Files;
using Reconciler.Sources.Manifests;
using static Reconciler.Sources.Tests.Files.Followed;

namespace Reconciler.Sources.Tests.Files;

/// <summary>What a folder declares when parts of it are broken, doubled or out of reach.</summary>
public sealed class FolderStateTests
{
    [Fact]
    public async Task A_broken_file_keeps_its_last_good_documents_also_for_the_next_agent()
    {
        using var place = new Place();
        place.Write("a.yaml", Workload("a", "1") + "---\n" + Workload("b", "1"));
        await using (var followed = place.Follow())
        {
            await followed.UntilDeclaredAsync("default/a", "default/b");
            place.Write("a.yaml", "apiVersion: [");
            var broken = await followed.UntilAsync(state => !state.Problems.IsEmpty, "broken");

            Assert.True(broken.Synced);
            Assert.Equal(["default/a", "default/b"], Workloads(broken));
            Assert.Equal([place.Label("a.yaml")], broken.Held);
            Assert.StartsWith($"{place.Manifests}/a.yaml:1:", Assert.Single(broken.Problems).ToString(), StringComparison.Ordinal);
        }

        await using var next = place.Follow();
        var first = await next.UntilAsync(_ => true, "the first state");
        Assert.Equal(["default/a", "default/b"], Workloads(first));
        Assert.Equal("1", Mark(first, "a"));
        Assert.Equal([place.Label("a.yaml")], first.Held);
        File.Delete(place.Manifests + "/a.yaml");

        var gone = await next.UntilAsync(state => state.Resources.IsEmpty, "deleting the broken file removes what it declared");
        Assert.True(gone.Synced);
        Assert.Empty(gone.Held);
    }

    [Fact]
    public async Task Good_documents_of_a_half_broken_file_apply()
    {
        using var place = new Place();
        place.Write("a.yaml", Workload("a", "1") + "---\n" + Workload("b", "1") + "---\n" + Workload("c", "1"));
        await using var followed = place.Follow();
        await followed.UntilDeclaredAsync("default/a", "default/b", "default/c");

        place.Write("a.yaml", Workload("a", "2") + "---\n" + Workload("b", "2").Replace("image:", "imgae:", StringComparison.Ordinal));

        // b tells who it is, so c is known to be gone; it is held, not removed, while the file has an error.
        var state = await followed.UntilAsync(state => Mark(state, "a") == "2", "the good part");
        Assert.Equal("1", Mark(state, "b"));
        Assert.Equal(["default/a", "default/b"], Workloads(state));
        Assert.Equal([place.Label("a.yaml")], state.Held);
        Assert.Contains(state.Problems, problem => problem is { Line: 9, Field: "spec.containers[0].imgae" });
    }

    [Fact]
    public async Task Two_files_with_one_identity_are_named_and_the_earlier_one_stays()
    {
        using var place = new Place();
        place.Write("m.yaml", Workload("w", "m"));
        await using (var followed = place.Follow())
        {
            await followed.UntilDeclaredAsync("default/w");
            place.Write("a.yaml", Workload("w", "a"));
            var state = await followed.UntilAsync(state => !state.Problems.IsEmpty, "doubled");
            AssertDoubled(state);
        }
        await using var next = place.Follow();
        AssertDoubled(await next.UntilAsync(_ => true, "the next agent's first state"));

        place.Write("m.yaml", Workload("w", "m2"));
        await next.UntilAsync(state => Mark(state, "w") == "m2", "the earlier one may still change");
        File.Delete(place.Manifests + "/m.yaml");

        var settled = await next.UntilAsync(state => Mark(state, "w") == "a", "the other takes over");
        Assert.Empty(settled.Problems);

        void AssertDoubled(SourceState state)
        {
            Assert.Equal("m", Mark(state, "w"));
            Assert.Equal([place.Label("a.yaml")], state.Held);
            Assert.Equal(["a.yaml", "m.yaml"], state.Problems.Select(problem => Path.GetFileName(problem.File)));
            Assert.Contains("m.yaml:1", state.Problems[0].Message, StringComparison.Ordinal);
            Assert.Contains("a.yaml:1", state.Problems[1].Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Without_a_memory_none_of_two_applies()
    {
        using var place = new Place();
        place.Write("a.yaml", Workload("w", "a"));
        place.Write("b.yaml", Workload("w", "b") + "---\n" + Workload("x"));
        place.Write("c.yaml", Workload("y", "1") + "---\n" + Workload("y", "2"));

        var state = place.ReadOnce();

        Assert.Equal(["default/x"], Workloads(state));
        Assert.Equal([place.Label("a.yaml"), place.Label("b.yaml"), place.Label("c.yaml")], state.Held.Order(StringComparer.Ordinal));
        Assert.Equal(4, state.Problems.Length);
    }

    [Fact]
    public void Links_are_followed_each_real_folder_once()
    {
        using var place = new Place();
        place.Write("sub/a.yaml", Workload("a"));
        File.CreateSymbolicLink(place.Manifests + "/sub/loop", "..");
        File.CreateSymbolicLink(place.Manifests + "/also", "sub");
        File.CreateSymbolicLink(place.Manifests + "/a-link.yaml", "sub/a.yaml");
        Directory.CreateDirectory(place["outside"]);
        File.WriteAllText(place["outside/b.yaml"], Workload("b"));
        File.CreateSymbolicLink(place.Manifests + "/out", place["outside"]);
        place.Write(".git/c.yaml", Workload("c"));

        var state = place.ReadOnce();

        Assert.Empty(state.Problems);
        Assert.Equal([place.Label("out/b.yaml"), place.Label("sub/a.yaml")], state.Resources.Values.Select(resource => resource.Source).Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("/does/not/exist", "leads to nothing")]
    [InlineData("/dev/null", "is no regular file")]
    [InlineData("/proc/version", "changed each time it was read")] // its size never agrees with its content
    public void A_file_that_cannot_be_read_is_held(string target, string message)
    {
        using var place = new Place();
        File.CreateSymbolicLink(place.Manifests + "/x.yaml", target);
        place.Write("a.yaml", Workload("a"));

        var state = place.ReadOnce();

        Assert.True(state.Synced);
        Assert.Equal(["default/a"], Workloads(state));
        Assert.Equal([place.Label("x.yaml")], state.Held);
        Assert.Contains(message, Assert.Single(state.Problems).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Files_below_a_folder_that_cannot_be_read_keep_their_documents()
    {
        var options = new ManifestOptions { NodeName = "n1" };
        var merge = new FolderMerge("m", "file:m/", options);
        var listing = new FolderListing { Device = "8:1", Files = [Scanned("sub/a.yaml", Workload("a")), Scanned("b.yaml", Workload("b"))] };
        var (_, memory) = merge.Merge(listing, FolderMemory.Empty);

        var (state, next) = merge.Merge(new FolderListing { Device = "8:1", Unread = ["sub/"] }, memory);

        Assert.True(state.Synced);
        Assert.Equal(["default/a"], Workloads(state));
        Assert.Equal(["file:m/sub/a.yaml"], state.Held);
        Assert.Equal(["sub/a.yaml"], next.Files.Keys);

        ScannedFile Scanned(string path, string yaml) =>
            new(path, ManifestReader.ReadFile("m/" + path, System.Text.Encoding.UTF8.GetBytes(yaml), "file:m/" + path, options), Unstable: false);
    }

    [Fact]
    public void Workloads_that_name_one_image_share_it()
    {
        using var place = new Place();
        string Images(string name, string policy) =>
            $"apiVersion: reconciler.dev/v1alpha1\nkind: NodeWorkload\nmetadata: {{name: {name}}}\nspec: {{images: [{{image: busybox:1, pullPolicy: {policy}}}]}}\n";
        place.Write("b.yaml", Images("b", "Always"));
        place.Write("a.yaml", Images("a", "IfNotPresent"));

        var image = Assert.IsType<ImageSpec>(Assert.Single(place.ReadOnce().Resources.Values));

        Assert.Equal((ResourceKey.Image("docker.io/library/busybox:1"), place.Label("a.yaml"), ImagePullPolicy.Always), (image.Key, image.Source, image.PullPolicy));
    }

    [Fact]
    public void Other_peoples_documents_are_counted_once_for_the_folder()
    {
        using var place = new Place();
        place.Write("a.yaml", "apiVersion: apps/v1\nkind: Deployment\n---\napiVersion: v1\nkind: Service\n");
        place.Write("kustomization.yaml", "resources: [a.yaml]\n");
        place.Write("b.yaml", "apiVersion: apps/v1\nkind: Deployment\n");

        var problem = Assert.Single(place.ReadOnce().Problems);

        Assert.True(problem.Warning);
        Assert.Equal("4 documents of other kinds are ignored: kustomization x1, apps/v1 Deployment x2, v1 Service x1", problem.Message);
    }

    [Fact]
    public void ReadFolder_takes_a_folder_or_a_file_and_says_when_there_is_none()
    {
        using var place = new Place();
        place.Write("a.yaml", Workload("a"));
        var options = new ManifestOptions { NodeName = "n1" };

        Assert.Single(ManifestReader.ReadFolder(place.Manifests + "/", options).Documents);
        Assert.Single(ManifestReader.ReadFolder(place.Manifests + "/a.yaml", options).Documents);
        var missing = ManifestReader.ReadFolder(place["none"], options);
        Assert.Equal($"{place["none"]} does not exist", Assert.Single(missing.Problems).Message);
        Assert.False(missing.State.Synced);
    }
}
