using Reconciler.Testing;

namespace Reconciler.Containerd.Tests.Client;

/// <summary>Filters of list calls: several are alternatives, commas join conditions.</summary>
public sealed class ListFilterTests(SharedDaemon shared)
{
    private readonly string _unique = Names.Unique();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Images_are_found_by_name_label_and_digest()
    {
        await using var client = await shared.ConnectAsync();
        var (a, b, c) = ($"example.test/{_unique}:a", $"example.test/{_unique}:b", $"example.test/{_unique}:c");
        var digest = (await client.GetImageAsync(SharedDaemon.Busybox, Stop))!.Digest;
        await client.TagImageAsync(SharedDaemon.Busybox, a, new Dictionary<string, string> { ["example.test/l"] = _unique }, Stop);
        await client.TagImageAsync(SharedDaemon.Busybox, b, new Dictionary<string, string> { ["example.test/l"] = _unique, ["m"] = "1" }, Stop);
        await client.TagImageAsync(SharedDaemon.Busybox, c, null, Stop);
        var ours = $"name~=\"/{_unique}:\"";

        Assert.Equal([a], await Find($"name=={a}"));
        Assert.Equal([a, c], await Find($"name=={a}", $"name=={c}"));
        Assert.Equal([a, b], await Find($"labels.\"example.test/l\"=={_unique}"));
        Assert.Equal([b], await Find($"labels.\"example.test/l\"=={_unique},labels.m==1"));
        Assert.Equal([b], await Find($"{ours},labels.m"));
        Assert.Equal([a, c], await Find($"{ours},labels.m!=1"));
        Assert.Equal([a, b, c], await Find($"{ours},target.digest=={digest}"));
        Assert.Empty(await Find($"{ours},target.digest==sha256:none"));
        Assert.Empty(await Find("name==none"));
        Assert.Superset(new HashSet<string> { a, b, c }, new HashSet<string>(await Find("")));
        Assert.Superset(new HashSet<string> { a, b, c }, new HashSet<string>(await Find()));
        foreach (var name in new[] { a, b, c }) await client.RemoveImageAsync(name, cancellation: Stop);

        async Task<List<string>> Find(params string[] filters) => [.. (await client.ListImagesAsync(filters, Stop)).Select(image => image.Name).Order(StringComparer.Ordinal)];
    }

    [Fact]
    public async Task Containers_are_found_by_id_image_and_label()
    {
        await using var client = await shared.ConnectAsync();
        var (a, b) = await RecordsAsync();

        Assert.Equal([a], await Find($"id=={a}"));
        Assert.Equal([a, b], await Find($"id=={a}", $"id=={b}"));
        Assert.Equal([a, b], await Find($"labels.\"example.test/l\"=={_unique},image=={SharedDaemon.Busybox}"));
        Assert.Equal([b], await Find($"labels.\"example.test/l\"=={_unique},labels.m"));
        Assert.Empty(await Find($"id=={a},labels.m==1"));
        Assert.Superset(new HashSet<string> { a, b }, new HashSet<string>(await Find()));
        await client.DeleteContainerAsync(a, Stop);
        await client.DeleteContainerAsync(b, Stop);

        async Task<List<string>> Find(params string[] filters) => [.. (await client.ListContainersAsync(filters, Stop)).Select(found => found.Id).Order(StringComparer.Ordinal)];
    }

    [Fact]
    public async Task Snapshots_are_found_by_name_parent_and_kind()
    {
        await using var client = await shared.ConnectAsync();
        var (a, b) = await RecordsAsync();
        var parent = (await client.ResolveImageAsync(SharedDaemon.Busybox, Stop)).ChainId;

        Assert.Equal([a], await Find($"name=={a}"));
        Assert.Equal([a, b], await Find($"name=={a},kind==active", $"name=={b},parent==\"{parent}\""));
        Assert.Empty(await Find($"name=={a},kind==committed"));
        Assert.Equal([parent], await Find($"name==\"{parent}\",kind==committed"));
        Assert.Superset(new HashSet<string> { a, b, parent }, new HashSet<string>(await Find()));
        await client.DeleteContainerAsync(a, Stop);
        await client.DeleteContainerAsync(b, Stop);
        Assert.Empty(await Find($"name=={a}", $"name=={b}"));

        async Task<List<string>> Find(params string[] filters) => [.. (await client.ListSnapshotsAsync(filters, Stop)).Select(found => found.Key).Order(StringComparer.Ordinal)];
    }

    /// <summary>Two records with a snapshot each; the second has one label more.</summary>
    private async Task<(string A, string B)> RecordsAsync()
    {
        var (a, b) = ($"a-{_unique}", $"b-{_unique}");
        await shared.Daemon.CtrAsync("containers", "create", "--label", $"example.test/l={_unique}", SharedDaemon.Busybox, a, "true");
        await shared.Daemon.CtrAsync("containers", "create", "--label", $"example.test/l={_unique}", "--label", "m=1", SharedDaemon.Busybox, b, "true");
        return (a, b);
    }
}
