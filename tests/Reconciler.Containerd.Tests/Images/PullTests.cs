using System.Text;
using System.Text.Json.Nodes;
using Reconciler.Containerd.Images;
using Reconciler.Containerd.Tests.Registries;
using Reconciler.Testing;
using Reconciler.Testing.Images;

namespace Reconciler.Containerd.Tests.Images;

/// <summary>Pulls from a real registry into a real containerd.</summary>
public sealed partial class PullTests(SharedDaemon shared, PullTests.Registries registries) : IClassFixture<PullTests.Registries>
{
    private readonly string _repository = "r" + Names.Unique();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(true, true)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public async Task An_image_is_pulled_unpacked_and_recorded(bool docker, bool gzip)
    {
        var image = Unique(docker, gzip);
        var reference = await registries.Open.PushAsync(image, _repository, "1");
        await using var client = await ConnectAsync();

        var pulled = await client.PullImageAsync(reference, options: new PullOptions { Labels = new Dictionary<string, string> { ["test/a"] = "b" } }, cancellation: Stop);

        Assert.Equal((reference, image.Manifest.Digest, image.Manifest.MediaType), (pulled.Name, pulled.Digest, pulled.MediaType));
        Assert.Equal((image.Config.Digest, "1"), (pulled.Id, pulled.Tag));
        Assert.Equal(image.Config.Bytes.Length + image.Layers.Sum(layer => (long)layer.Bytes.Length), pulled.Size);
        Assert.Equal(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero), pulled.CreatedAt);
        Assert.Equal("b", pulled.Labels["test/a"]);
        Assert.True(await client.IsUnpackedAsync(reference, Stop));
        var resolved = await client.ResolveImageAsync(reference, Stop);
        Assert.Equal((image.Manifest.Digest, image.Config.Digest), (resolved.Digest, resolved.ConfigDigest));
        Assert.Equal(["PATH=/bin"], resolved.Config.Env);
        await client.RemoveImageAsync(reference, synchronous: true, Stop);
    }

    [Fact]
    public async Task A_zstd_layer_is_unpacked()
    {
        var plain = Unique(gzip: false);
        using var folder = new TempFolder();
        await File.WriteAllBytesAsync(folder["layer"], plain.Layers[^1].Bytes, Stop);
        var packed = await Shell.RunAsync("zstd", ["-q", folder["layer"], "-o", folder["layer.zst"]]);
        Assert.SkipUnless(packed.ExitCode == 0, "the zstd tool is needed");
        var layer = new Blob("application/vnd.oci.image.layer.v1.tar+zstd", await File.ReadAllBytesAsync(folder["layer.zst"], Stop));
        var manifest = JsonNode.Parse(plain.Manifest.Bytes)!;
        manifest["layers"]![plain.Layers.Count - 1] = layer.Descriptor();
        var image = new TestImage(new Blob(TestImage.OciManifest, TestImage.Utf8(manifest)), plain.Config, [.. plain.Layers.SkipLast(1), layer]);
        var reference = await registries.Open.PushAsync(image, _repository, "1");
        await using var client = await ConnectAsync();

        await client.PullImageAsync(reference, cancellation: Stop);

        Assert.True(await client.IsUnpackedAsync(reference, Stop));
        await client.RemoveImageAsync(reference, synchronous: true, Stop);
    }

    [Fact]
    public async Task An_index_gives_the_nodes_platform_and_only_that_is_fetched()
    {
        var mine = Unique();
        var other = TestImage.Create([new Archive().File("x", Names.Unique()).ToArray()], architecture: "s390x");
        await registries.Open.PushAsync(mine, _repository, "mine");
        await registries.Open.PushAsync(other, _repository, "other");
        var index = Index((other, "s390x"), (mine, "amd64"));
        await registries.Open.PushManifestAsync(_repository, "1", index);
        var reference = $"{registries.Open.Host}/{_repository}:1";
        await using var client = await ConnectAsync();
        Assert.SkipUnless(Platform.Host.Architecture == "amd64", "the fixture's images are for amd64");

        var pulled = await client.PullImageAsync(reference, cancellation: Stop);

        Assert.Equal((index.Digest, mine.Config.Digest), (pulled.Digest, pulled.Id));
        Assert.NotNull(await client.ReadContentAsync(mine.Manifest.Digest, Stop));
        Assert.Null(await client.ReadContentAsync(other.Manifest.Digest, Stop));
        var error = await Assert.ThrowsAsync<PullException>(() => client.PullImageAsync(reference, options: new PullOptions { Platform = "linux/riscv64" }, cancellation: Stop));
        Assert.Equal(PullErrorKind.NoPlatform, error.Kind);
        Assert.Contains("linux/amd64", error.Message, StringComparison.Ordinal);
        await client.RemoveImageAsync(reference, synchronous: true, Stop);
    }

    [Fact]
    public async Task A_garbage_collection_after_the_pull_takes_nothing_and_one_after_removal_takes_all()
    {
        var image = Unique();
        var reference = await registries.Open.PushAsync(image, _repository, "1");
        await using var client = await ConnectAsync();
        await client.PullImageAsync(reference, cancellation: Stop);
        var chain = (await client.ResolveImageAsync(reference, Stop)).ChainId;
        var lastLayer = image.Layers[^1].Digest;

        await CollectAsync(client);

        Assert.True(await client.IsUnpackedAsync(reference, Stop));
        Assert.Contains(lastLayer, await shared.Daemon.CtrAsync("content", "ls", "-q"), StringComparison.Ordinal);
        await client.RemoveImageAsync(reference, synchronous: true, Stop);
        Assert.False(await client.IsCommittedAsync(chain, Stop));
        Assert.DoesNotContain(lastLayer, await shared.Daemon.CtrAsync("content", "ls", "-q"), StringComparison.Ordinal);
        Assert.Null(await client.GetImageAsync(reference, Stop));
    }

    [Fact]
    public async Task Pulling_again_fetches_no_blob_and_says_that_all_exists()
    {
        await using var fake = new FakeRegistry(); // it counts requests before it answers; a log may lag behind
        var image = Unique();
        var reference = fake.Add(image, _repository);
        await using var client = await ConnectAsync(plainHttp: fake.Host);
        await client.PullImageAsync(reference, cancellation: Stop);
        var before = Gets();
        var progress = new Seen();

        await client.PullImageAsync(reference, progress, cancellation: Stop);

        Assert.Equal(before, Gets());
        Assert.Equal("done", progress.Last(reference).Status);
        Assert.All(image.Layers, layer => Assert.Equal("exists", progress.Last("layer-" + layer.Digest).Status));
        Assert.Equal("exists", progress.Last("config-" + image.Config.Digest).Status);
        Assert.Equal("exists", progress.Last("manifest-" + image.Manifest.Digest).Status);
        await client.RemoveImageAsync(reference, synchronous: true, Stop);

        int Gets() => fake.Requests.Count(request => request.Method == "GET");
    }

    [Fact]
    public async Task A_moved_tag_moves_the_record_and_keeps_other_labels()
    {
        var (first, second) = (Unique(), Unique());
        var reference = await registries.Open.PushAsync(first, _repository, "1");
        await using var client = await ConnectAsync();
        await client.PullImageAsync(reference, options: Labels(("a", "1"), ("b", "1")), cancellation: Stop);
        await registries.Open.PushAsync(second, _repository, "1");

        var pulled = await client.PullImageAsync(reference, options: Labels(("b", ""), ("c", "1")), cancellation: Stop);

        Assert.Equal(second.Manifest.Digest, pulled.Digest);
        Assert.Equal(["a", "c"], pulled.Labels.Keys.Order());
        await client.RemoveImageAsync(reference, synchronous: true, Stop);
    }

    [Fact]
    public async Task Basic_auth_from_the_docker_config_works_and_without_it_the_pull_is_unauthorized()
    {
        var reference = await registries.Closed.PushAsync(Unique(), _repository, "1");
        using var folder = new TempFolder();
        var login = Convert.ToBase64String(Encoding.UTF8.GetBytes($"{Registry.User}:{Registry.Password}"));
        await File.WriteAllTextAsync(folder["config.json"], $$"""{"auths":{"{{registries.Closed.Host}}":{"auth":"{{login}}"} } }""", Stop);
        await using var client = await ConnectAsync(folder["config.json"]);
        await using var stranger = await ConnectAsync(folder["none.json"]);

        Assert.Equal(PullErrorKind.Unauthorized, (await Assert.ThrowsAsync<PullException>(() => stranger.PullImageAsync(reference, cancellation: Stop))).Kind);
        await client.PullImageAsync(reference, cancellation: Stop);

        await client.RemoveImageAsync(reference, synchronous: true, Stop);
    }

    [Fact]
    public async Task An_unknown_tag_is_not_found_and_leaves_no_record()
    {
        await using var client = await ConnectAsync();
        var reference = $"{registries.Open.Host}/{_repository}:none";

        var error = await Assert.ThrowsAsync<PullException>(() => client.PullImageAsync(reference, cancellation: Stop));

        Assert.Equal(PullErrorKind.NotFound, error.Kind);
        Assert.Equal(ContainerdError.ImageNotfound, error.Code);
        Assert.Null(await client.GetImageAsync(reference, Stop));
    }

    [Fact]
    public async Task Equal_pulls_at_the_same_time_are_one()
    {
        await using var fake = new FakeRegistry();
        var image = Unique();
        var reference = fake.Add(image, _repository);
        await using var client = await ConnectAsync(plainHttp: fake.Host);

        var all = await Task.WhenAll(Enumerable.Range(0, 5).Select(_ => client.PullImageAsync(reference, cancellation: Stop)));

        Assert.All(all, pulled => Assert.Equal(image.Manifest.Digest, pulled.Digest));
        Assert.Single(fake.BlobGets(image.Layers[^1].Digest));
        await client.RemoveImageAsync(reference, synchronous: true, Stop);
    }

    [Fact]
    public async Task Two_clients_at_the_same_time_both_succeed()
    {
        var image = TestImages.WithLayers(3_000_000, 10_000);
        var reference = await registries.Open.PushAsync(image, _repository, "1");
        await using var one = await ConnectAsync();
        await using var two = await ConnectAsync();

        var all = await Task.WhenAll(one.PullImageAsync(reference, cancellation: Stop), two.PullImageAsync(reference, cancellation: Stop));

        Assert.All(all, pulled => Assert.Equal(image.Manifest.Digest, pulled.Digest));
        Assert.True(await one.IsUnpackedAsync(reference, Stop));
        await one.RemoveImageAsync(reference, synchronous: true, Stop);
    }

    [Fact]
    public async Task Without_unpack_there_is_content_and_no_snapshot()
    {
        var image = Unique();
        var reference = await registries.Open.PushAsync(image, _repository, "1");
        await using var client = await ConnectAsync();

        await client.PullImageAsync(reference, options: new PullOptions { Unpack = false }, cancellation: Stop);
        Assert.False(await client.IsUnpackedAsync(reference, Stop));
        await client.PullImageAsync(reference, cancellation: Stop);

        Assert.True(await client.IsUnpackedAsync(reference, Stop));
        await client.RemoveImageAsync(reference, synchronous: true, Stop);
    }

    internal static TestImage Unique(bool docker = false, bool gzip = true)
    {
        using var archive = new Archive();
        var layer = archive.Folder("marks/").File("marks/" + Names.Unique(), Names.Unique()).ToArray();
        using var below = new Archive();
        return TestImage.Create(
            [below.Folder("bin/").File("bin/base", "shared by all").ToArray(), layer], new JsonObject { ["Env"] = new JsonArray("PATH=/bin") }, docker, gzip);
    }

    private static Blob Index(params (TestImage Image, string Architecture)[] images)
    {
        var list = new JsonArray();
        foreach (var (image, architecture) in images)
        {
            var descriptor = image.Manifest.Descriptor();
            descriptor["platform"] = new JsonObject { ["os"] = "linux", ["architecture"] = architecture };
            list.Add(descriptor);
        }
        return new Blob(TestImage.OciIndex, TestImage.Utf8(new JsonObject { ["schemaVersion"] = 2, ["mediaType"] = TestImage.OciIndex, ["manifests"] = list }));
    }

    private static PullOptions Labels(params (string Key, string Value)[] labels) => new() { Labels = labels.ToDictionary(l => l.Key, l => l.Value) };

    private static async Task CollectAsync(ContainerdClient client)
    {
        // Removing any record with sync waits for a collection.
        var name = "collect" + Names.Unique();
        await client.TagImageAsync(SharedDaemon.Busybox, name, cancellation: Stop);
        await client.RemoveImageAsync(name, synchronous: true, Stop);
    }

    private Task<ContainerdClient> ConnectAsync(string? config = null, string plainHttp = "") => ContainerdClient.ConnectAsync(
        SharedDaemon.OptionsFor(shared.Daemon) with
        {
            Registry = new RegistryOptions { PlainHttpHosts = [registries.Open.Host, registries.Closed.Host, plainHttp], DockerConfigPath = config ?? "/nonexistent" },
        },
        Stop);

    internal sealed class Seen : IProgress<ProgressInfo>
    {
        private readonly Lock _lock = new();
        private readonly List<ProgressInfo> _items = [];

        public void Report(ProgressInfo value)
        {
            lock (_lock) _items.Add(value);
        }

        public ProgressInfo Last(string item)
        {
            lock (_lock) return _items.Last(seen => seen.Ref == item);
        }

        public IReadOnlyList<ProgressInfo> All
        {
            get
            {
                lock (_lock) return [.. _items];
            }
        }
    }

    public sealed class Registries : IAsyncLifetime
    {
        public Registry Open { get; private set; } = null!;

        public Registry Closed { get; private set; } = null!;

        public async ValueTask InitializeAsync()
        {
            Open = await Registry.StartAsync();
            Closed = await Registry.StartAsync(authenticated: true);
        }

        public async ValueTask DisposeAsync()
        {
            await Open.DisposeAsync();
            await Closed.DisposeAsync();
        }
    }
}
