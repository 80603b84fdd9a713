using Reconciler.Testing;
using static Reconciler.Sources.Tests.Files.Followed;

namespace Reconciler.Sources.Tests.Files;

/// <summary>The folder is followed however it is written, on the real file system.</summary>
public sealed class FollowTests
{
    [Fact]
    public async Task Files_added_edited_renamed_over_and_removed()
    {
        using var place = new Place();
        await using var followed = place.Follow();
        await followed.UntilAsync(state => state.Synced && state.Resources.IsEmpty, "an empty folder is a wish for nothing");

        place.Write("a.yaml", Workload("a"));
        await followed.UntilDeclaredAsync("default/a");
        await File.WriteAllTextAsync(place.Manifests + "/a.yaml", Workload("a", "2"), TestContext.Current.CancellationToken);
        await followed.UntilAsync(state => Mark(state, "a") == "2", "edited in place");
        await File.WriteAllTextAsync(place["next"], Workload("a", "3"), TestContext.Current.CancellationToken);
        File.Move(place["next"], place.Manifests + "/a.yaml", overwrite: true);
        await followed.UntilAsync(state => Mark(state, "a") == "3", "renamed over");
        place.Write("sub/deep/b.json", """{"apiVersion": "reconciler.dev/v1alpha1", "kind": "NodeWorkload", "metadata": {"name": "b"}, "spec": {"hostNetwork": true, "containers": [{"name": "c", "image": "x:1"}]}}""");
        var both = await followed.UntilDeclaredAsync("default/a", "default/b");
        Assert.Contains(both.Resources.Values, resource => resource.Source == place.Label("sub/deep/b.json"));
        var before = followed.States.Count;
        place.Write("sub/deep/b.json", "");
        File.Delete(place.Manifests + "/a.yaml");

        var none = await followed.UntilAsync(state => state.Synced && state.Resources.IsEmpty, "all removed", before);
        Assert.Empty(none.Held);
    }

    [Fact]
    public async Task A_git_checkout_between_two_commits()
    {
        using var place = new Place();
        async Task GitAsync(params string[] arguments) =>
            await Shell.OutputAsync("git", ["-C", place.Manifests, "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false", .. arguments]);
        await GitAsync("init", "-q");
        foreach (var i in Enumerable.Range(0, 50)) place.Write($"w{i:00}.yaml", Workload($"w{i:00}", "old"));
        await GitAsync("add", "-A");
        await GitAsync("commit", "-qm", "old");
        await GitAsync("branch", "old");
        foreach (var i in Enumerable.Range(0, 40)) place.Write($"w{i:00}.yaml", Workload($"w{i:00}", "new"));
        foreach (var i in Enumerable.Range(40, 10)) File.Delete($"{place.Manifests}/w{i:00}.yaml");
        await GitAsync("add", "-A");
        await GitAsync("commit", "-qm", "new");
        await using var followed = place.Follow();
        await followed.UntilAsync(state => state.Resources.Count == 40 && Mark(state, "w00") == "new", "the new commit");

        await GitAsync("checkout", "-q", "old");

        var state = await followed.UntilAsync(
            state => state.Resources.Count == 50 && Enumerable.Range(0, 50).All(i => Mark(state, $"w{i:00}") == "old"), "the old commit");
        Assert.Empty(state.Problems);
    }

    [Fact]
    public async Task The_symlink_swap_of_a_ConfigMap_volume()
    {
        using var place = new Place();
        async Task PublishAsync(string version, string mark)
        {
            place.Write($"..{version}/a.yaml", Workload("a", mark));
            place.Write($"..{version}/b.yaml", Workload("b", mark));
            await place.LinkAsync($"{place.Manifests}/..data", $"..{version}");
        }
        await PublishAsync("2026_01", "1");
        File.CreateSymbolicLink(place.Manifests + "/a.yaml", "..data/a.yaml");
        File.CreateSymbolicLink(place.Manifests + "/b.yaml", "..data/b.yaml");
        await using var followed = place.Follow();
        var first = await followed.UntilDeclaredAsync("default/a", "default/b");
        Assert.Equal("1", Mark(first, "a"));

        await PublishAsync("2026_02", "2");
        Directory.Delete(place.Manifests + "/..2026_01", recursive: true);

        var second = await followed.UntilAsync(state => Mark(state, "a") == "2", "the second version");
        Assert.Equal("2", Mark(second, "b")); // never half of each
        Assert.Equal(first.Resources.Values.Select(resource => resource.Source).Order(), second.Resources.Values.Select(resource => resource.Source).Order());
    }

    [Fact]
    public async Task The_folder_itself_is_a_link_that_is_swapped()
    {
        using var place = new Place();
        Directory.CreateDirectory(place["v1/apps"]);
        Directory.CreateDirectory(place["v2/apps"]);
        await File.WriteAllTextAsync(place["v1/apps/a.yaml"], Workload("a", "1"), TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(place["v2/apps/a.yaml"], Workload("a", "2"), TestContext.Current.CancellationToken);
        File.CreateSymbolicLink(place["current"], "v1");
        await using var followed = new Followed(place["current/apps"], place.StateDir);
        var first = await followed.UntilAsync(state => Mark(state, "a") == "1", "the first version");

        await place.LinkAsync(place["current"], "v2");

        var second = await followed.UntilAsync(state => Mark(state, "a") == "2", "the second version");
        Assert.Equal(first.Resources.Values.Single().Source, second.Resources.Values.Single().Source);
    }

    [Fact]
    public async Task The_folder_is_replaced_then_missing_then_there_again()
    {
        using var place = new Place();
        place.Write("a.yaml", Workload("a"));
        Directory.CreateDirectory(place["other"]);
        await File.WriteAllTextAsync(place["other/b.yaml"], Workload("b"), TestContext.Current.CancellationToken);
        await using var followed = place.Follow();
        await followed.UntilDeclaredAsync("default/a");

        Directory.Move(place.Manifests, place["old"]);
        Directory.Move(place["other"], place.Manifests);
        await followed.UntilDeclaredAsync("default/b");
        place.Write("b.yaml", Workload("b", "2"));
        await followed.UntilAsync(state => Mark(state, "b") == "2", "the new folder is watched");

        Directory.Move(place.Manifests, place["old2"]);
        var missing = await followed.UntilAsync(state => !state.Synced && state.Doubt.Contains("does not exist", StringComparison.Ordinal), "missing");
        Assert.Equal("2", Mark(missing, "b"));
        await File.WriteAllTextAsync(place.Manifests, "a file", TestContext.Current.CancellationToken);
        await followed.UntilAsync(state => !state.Synced && state.Doubt.Contains("is not a folder", StringComparison.Ordinal), "a file in its place");
        Assert.Equal("2", Mark(place.ReadOnce(), "b")); // as the next agent would see it
        File.Delete(place.Manifests);
        Directory.CreateDirectory(place.Manifests);

        await followed.UntilAsync(state => state.Synced && state.Resources.IsEmpty, "an empty folder is a wish for nothing");
    }

    [Fact]
    public async Task An_unmounted_folder_is_a_doubt()
    {
        using var place = new Place();
        await Shell.OutputAsync("mount", "-t", "tmpfs", "none", place.Manifests);
        place.Write("a.yaml", Workload("a"));
        await using var followed = place.Follow();
        await followed.UntilDeclaredAsync("default/a");

        await Shell.OutputAsync("umount", "-l", place.Manifests);

        var doubt = await followed.UntilAsync(state => !state.Synced && state.Doubt.Contains("another device", StringComparison.Ordinal), "unmounted");
        Assert.Equal("1", Mark(doubt, "a"));
        Assert.False(place.ReadOnce().Synced); // the next agent doubts, too
        place.Write("b.yaml", Workload("b"));
        await followed.UntilDeclaredAsync("default/b");
    }

    [Fact]
    public async Task A_change_behind_a_link_that_nothing_hints_at_is_seen_by_the_full_rescan()
    {
        using var place = new Place();
        Directory.CreateDirectory(place["v1"]);
        Directory.CreateDirectory(place["v2"]);
        await File.WriteAllTextAsync(place["v1/a.yaml"], Workload("a", "1"), TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(place["v2/a.yaml"], Workload("a", "2"), TestContext.Current.CancellationToken);
        File.CreateSymbolicLink(place["current"], "v1");
        File.CreateSymbolicLink(place.Manifests + "/a.yaml", "../current/a.yaml");
        await using var followed = place.Follow();
        await followed.UntilAsync(state => Mark(state, "a") == "1", "the first version");

        await place.LinkAsync(place["current"], "v2");

        await followed.UntilAsync(state => Mark(state, "a") == "2", "the second version");
    }

    [Fact]
    public async Task A_linked_file_edited_in_place_is_seen()
    {
        using var place = new Place();
        await File.WriteAllTextAsync(place["real.yaml"], Workload("a", "1"), TestContext.Current.CancellationToken);
        File.CreateSymbolicLink(place.Manifests + "/a.yaml", place["real.yaml"]);
        await using var followed = place.Follow();
        await followed.UntilAsync(state => Mark(state, "a") == "1", "the first version");

        await File.WriteAllTextAsync(place["real.yaml"], Workload("a", "2"), TestContext.Current.CancellationToken);

        await followed.UntilAsync(state => Mark(state, "a") == "2", "the second version");
    }

    [Fact]
    public async Task An_identity_that_moves_to_another_file_changes_only_its_source()
    {
        using var place = new Place();
        place.Write("a.yaml", Workload("a"));
        await using var followed = place.Follow();
        var before = await followed.UntilDeclaredAsync("default/a");

        File.Move(place.Manifests + "/a.yaml", place.Manifests + "/z.yaml");

        var after = await followed.UntilAsync(state => state.Resources.Values.Any(resource => resource.Source == place.Label("z.yaml")), "moved");
        Assert.All(followed.States, state => Assert.Single(state.Resources));
        Assert.Equal(before.Resources.Values.Single() with { Source = place.Label("z.yaml") }, after.Resources.Values.Single());
    }

    [Fact]
    public async Task What_changes_nothing_gives_no_state()
    {
        using var place = new Place();
        place.Write("a.yaml", Workload("a"));
        await using var followed = place.Follow();
        await followed.UntilDeclaredAsync("default/a");
        var states = followed.States.Count;

        place.Write("a.yaml", "# a remark\n" + Workload("a"));
        place.Write(".hidden.yaml", Workload("hidden"));
        place.Write("notes.txt", "text");
        place.Write("b.yaml", Workload("b"));

        // The writes may fall into two quiet periods; either way only b adds a state.
        await followed.UntilDeclaredAsync("default/a", "default/b");
        Assert.Equal(states + 1, followed.States.Count);
    }
}
