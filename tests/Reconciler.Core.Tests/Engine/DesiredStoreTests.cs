using System.Collections.Immutable;
using Reconciler.Core.Engine;
using Reconciler.Core.Model;
using Reconciler.Core.Ports;
using Reconciler.Testing.Fakes;
using static Reconciler.Testing.Fakes.Specs;

namespace Reconciler.Core.Tests.Engine;

public sealed class DesiredStoreTests
{
    private const string Cluster = "kubernetes";
    private static readonly ContainerSpec App = Container();
    private static readonly ContainerSpec ClusterApp = Container(version: "cluster", source: Cluster);

    private readonly DesiredStore _store = new([Cluster, Folder]);

    private static SourceState Unsynced(string source, params DesiredResource[] lastGood) =>
        FakeSource.State(source, lastGood) with { Synced = false, Doubt = "it is away" };

    private Wish Find(string label) => _store.Current.Find(App.Key, label);

    private void Given(params SourceState[] states)
    {
        foreach (var state in states) _store.Apply(state);
    }

    [Fact]
    public void Apply_tells_the_keys_whose_winning_declaration_differs()
    {
        Assert.Equal([App.Key], _store.Apply(FakeSource.State(Folder, App)).Keys);
        Assert.Empty(_store.Apply(FakeSource.State(Folder, App)).Keys);
        Assert.Empty(_store.Apply(FakeSource.State(Cluster, ClusterApp)).Keys);
        Assert.Equal([App.Key], _store.Apply(FakeSource.State(Folder, Container(version: "2"))).Keys);
        Assert.Equal([App.Key], _store.Apply(FakeSource.State(Folder)).Keys);
        Assert.Equal(ClusterApp, _store.Current.Declared(App.Key));
    }

    [Fact]
    public void Apply_asks_for_a_list_only_when_certainty_changes()
    {
        Assert.True(_store.Apply(FakeSource.State(Folder, App)).Relist);
        Assert.False(_store.Apply(FakeSource.State(Folder)).Relist);
        Assert.True(_store.Apply(Unsynced(Folder)).Relist);
        Assert.False(_store.Apply(Unsynced(Folder)).Relist);
        Assert.True(_store.Apply(FakeSource.State(Folder)).Relist);
        Assert.True(_store.Apply(FakeSource.State(Folder) with { Held = [FileLabel] }).Relist);
    }

    [Fact]
    public void An_unknown_source_is_refused() => Assert.Throws<ArgumentException>(() => _store.Apply(FakeSource.State("file:/other")));

    [Fact]
    public void The_folder_wins_whichever_comes_first()
    {
        Given(FakeSource.State(Cluster, ClusterApp), FakeSource.State(Folder, App));
        Assert.Equal(new Wish.Declared(App), Find(FileLabel));
        Assert.Equal(new Wish.Declared(App), Find(Cluster));
    }

    [Fact]
    public void Precedence_is_by_workload()
    {
        var sidecar = Container("sidecar", source: Cluster);
        Given(FakeSource.State(Cluster, ClusterApp, sidecar), FakeSource.State(Folder, App));
        Assert.IsType<Wish.NotDeclared>(_store.Current.Find(sidecar.Key, Cluster));
        Assert.Equal([App.Key], _store.Current.Containers);
    }

    [Fact]
    public void Nothing_is_removed_before_every_source_gave_its_first_state_and_creation_need_not_wait()
    {
        Given(FakeSource.State(Folder));
        Assert.IsType<Wish.Doubt>(Find(FileLabel));
        Given(FakeSource.State(Folder, App));
        Assert.IsType<Wish.Declared>(Find(""));
        Given(FakeSource.State(Folder), FakeSource.State(Cluster));
        Assert.IsType<Wish.NotDeclared>(Find(FileLabel));
    }

    [Theory]
    [InlineData(FileLabel, true, true, true)]
    [InlineData(FileLabel, false, true, false)]
    [InlineData(FileLabel, true, false, true)]
    [InlineData(Cluster, false, true, true)]
    [InlineData(Cluster, true, false, false)]
    [InlineData("", true, true, true)]
    [InlineData("", true, false, false)]
    [InlineData("", false, true, false)]
    [InlineData("file:/elsewhere/x.yaml", true, true, false)]
    public void The_source_in_the_label_decides_a_removal_and_the_other_does_not_block_it(string label, bool folderSynced, bool clusterSynced, bool removed)
    {
        Given(folderSynced ? FakeSource.State(Folder) : Unsynced(Folder), clusterSynced ? FakeSource.State(Cluster) : Unsynced(Cluster));
        Assert.Equal(removed, Find(label) is Wish.NotDeclared);
        Assert.Equal(!removed, Find(label) is Wish.Doubt);
    }

    [Fact]
    public void The_last_good_state_of_an_unsynced_source_stays_declared()
    {
        Given(Unsynced(Folder, App), FakeSource.State(Cluster));
        Assert.Equal(new Wish.Declared(App), Find(FileLabel));
    }

    [Fact]
    public void A_held_label_is_a_doubt_for_what_carries_it_only()
    {
        Given(FakeSource.State(Folder) with { Held = [FileLabel] }, FakeSource.State(Cluster));
        Assert.IsType<Wish.Doubt>(Find(FileLabel));
        Assert.IsType<Wish.NotDeclared>(Find("file:/manifests/other.yaml"));
        Assert.IsType<Wish.NotDeclared>(Find(Cluster));
    }

    [Fact]
    public void A_lesser_source_does_not_replace_what_the_winner_made_while_the_winner_is_unsure()
    {
        Given(FakeSource.State(Cluster, ClusterApp));
        Assert.IsType<Wish.Doubt>(Find(FileLabel));
        Given(Unsynced(Folder));
        Assert.IsType<Wish.Doubt>(Find(FileLabel));
        Given(FakeSource.State(Folder) with { Held = [FileLabel] });
        Assert.IsType<Wish.Doubt>(Find(FileLabel));
        Assert.IsType<Wish.Declared>(Find(Cluster));
        Given(FakeSource.State(Folder));
        Assert.Equal(new Wish.Declared(ClusterApp), Find(FileLabel));
    }

    [Fact]
    public void A_label_belongs_to_the_folder_that_is_a_whole_part_of_it()
    {
        var store = new DesiredStore([Folder, "file:/mani"]);
        store.Apply(FakeSource.State(Folder));
        store.Apply(Unsynced("file:/mani"));
        Assert.IsType<Wish.NotDeclared>(store.Current.Find(App.Key, FileLabel));
        Assert.IsType<Wish.Doubt>(store.Current.Find(App.Key, "file:/mani/fests/web.yaml"));
    }

    [Fact]
    public void An_image_is_declared_retained_or_unwanted_and_a_doubt_while_anything_is_unsure()
    {
        var key = ResourceKey.Image(Image);
        Given(FakeSource.State(Folder, App, ImageOf()), FakeSource.State(Cluster));
        Assert.IsType<Wish.Declared>(_store.Current.Find(key, ""));
        Given(FakeSource.State(Folder, App));
        Assert.Equal(new Wish.Retained(App.Key), _store.Current.Find(key, ""));
        Given(FakeSource.State(Folder));
        Assert.IsType<Wish.NotDeclared>(_store.Current.Find(key, ""));
        Given(FakeSource.State(Folder) with { Held = [FileLabel] });
        Assert.IsType<Wish.Doubt>(_store.Current.Find(key, ""));
        Given(FakeSource.State(Folder), Unsynced(Cluster));
        Assert.IsType<Wish.Doubt>(_store.Current.Find(key, ""));
    }

    [Fact]
    public void Readers_keep_the_state_they_took()
    {
        Given(FakeSource.State(Folder, App));
        var before = _store.Current;
        Given(FakeSource.State(Folder));
        Assert.Equal(App, before.Declared(App.Key));
        Assert.Equal(ImmutableArray<ResourceKey>.Empty, _store.Current.Keys);
    }
}
