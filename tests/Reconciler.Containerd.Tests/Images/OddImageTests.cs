using System.Text.Json.Nodes;
using Reconciler.Containerd.Tests.Registries;
using Reconciler.Testing;
using Reconciler.Testing.Images;

namespace Reconciler.Containerd.Tests.Images;

/// <summary>Images whose digests are right and whose content is not what a node expects: pulled as containerd does, or refused with a reason.</summary>
public sealed class OddImageTests(SharedDaemon shared) : IAsyncDisposable
{
    private const string Tar = TestImage.OciLayer;
    private const string Gzip = TestImage.OciLayerGzip;
    private const string Zstd = "application/vnd.oci.image.layer.v1.tar+zstd";

    private readonly FakeRegistry _registry = new();
    private readonly string _repository = "o" + Names.Unique();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(Tar, "junk", PullErrorKind.Invalid)]
    [InlineData(Tar, "cut", PullErrorKind.Invalid)]
    [InlineData(Gzip, "junk", PullErrorKind.Invalid)]
    [InlineData(Gzip, "cut", PullErrorKind.Invalid)]
    [InlineData(Gzip, "of junk", PullErrorKind.Invalid)]
    [InlineData(Zstd, "junk", PullErrorKind.Invalid)]
    [InlineData(Tar, "other", PullErrorKind.DigestMismatch)]
    [InlineData("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "other", PullErrorKind.Invalid)]
    [InlineData("application/vnd.oci.image.layer.v1.unheard-of", "other", PullErrorKind.Invalid)]
    [InlineData("application/unheard-of", "other", PullErrorKind.Invalid)]
    [InlineData("", "other", PullErrorKind.Invalid)]
    public async Task A_layer_that_cannot_be_unpacked_has_a_reason_and_leaves_no_record(string type, string content, PullErrorKind kind)
    {
        var junk = new byte[100_000];
        new Random(7).NextBytes(junk);
        using var archive = new Archive();
        var tar = archive.File("f", junk).ToArray();
        var layer = new Blob(type, content switch
        {
            "junk" => junk,
            "other" => tar,
            "of junk" => TestImage.Gzip(junk),
            _ => (type == Gzip ? TestImage.Gzip(tar) : tar)[..5000],
        });

        await ThrowsAsync(kind, Add(manifest => manifest["layers"]![1] = layer.Descriptor(), layer));
    }

    [Fact]
    public async Task A_foreign_layer_is_taken_from_the_registry_and_its_urls_are_not_asked()
    {
        await using var elsewhere = new FakeRegistry();
        var reference = Add(manifest =>
        {
            manifest["layers"]![1]!["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
            manifest["layers"]![1]!["urls"] = new JsonArray($"http://{elsewhere.Host}/layer");
        });

        await PullAsync(reference);

        Assert.Empty(elsewhere.Requests);
    }

    [Fact]
    public async Task A_foreign_layer_that_the_registry_lacks_is_not_found()
    {
        await using var elsewhere = new FakeRegistry();
        var absent = new Blob("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", [.. Guid.NewGuid().ToByteArray()]);
        var reference = Add(manifest =>
        {
            manifest["layers"]![1] = absent.Descriptor();
            manifest["layers"]![1]!["urls"] = new JsonArray($"http://{elsewhere.Host}/layer", "file:///etc/passwd");
        });

        await ThrowsAsync(PullErrorKind.NotFound, reference);

        Assert.Empty(elsewhere.Requests);
    }

    [Fact]
    public async Task A_child_that_is_no_layer_is_fetched_and_not_unpacked()
    {
        var note = new Blob("application/vnd.in-toto+json", TestImage.Utf8(new JsonObject { ["note"] = Names.Unique() }));
        var reference = Add(manifest => manifest["layers"]!.AsArray().Insert(1, note.Descriptor()), note);
        var progress = new PullTests.Seen();

        await PullAsync(reference, progress, async client => Assert.Equal(note.Bytes, await client.ReadContentAsync(note.Digest, Stop)));

        Assert.Equal("done", progress.Last("unknown-" + note.Digest).Status);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_attestation_beside_the_image_is_not_fetched(bool byPlatform)
    {
        var image = PullTests.Unique();
        _registry.Add(image, _repository, "image");
        var attestation = new Blob(TestImage.OciManifest, TestImage.Utf8(new JsonObject { ["schemaVersion"] = 2, ["config"] = image.Config.Descriptor(), ["layers"] = new JsonArray() }));
        _registry.AddManifest(_repository, "attestation", attestation);
        var (one, other) = (attestation.Descriptor(), image.Manifest.Descriptor());
        one["platform"] = new JsonObject { ["os"] = byPlatform ? "unknown" : "linux", ["architecture"] = byPlatform ? "unknown" : "amd64" };
        if (!byPlatform) one["annotations"] = new JsonObject { ["vnd.docker.reference.type"] = "attestation-manifest" };
        var index = new Blob(TestImage.OciIndex, TestImage.Utf8(new JsonObject { ["schemaVersion"] = 2, ["manifests"] = new JsonArray(one, other) }));
        _registry.AddManifest(_repository, "1", index);

        await PullAsync($"{_registry.Host}/{_repository}:1");

        Assert.DoesNotContain(_registry.Requests, request => request.Path.EndsWith(attestation.Digest, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("application/json")]
    [InlineData("text/html; charset=utf-8")]
    public async Task A_manifest_of_no_known_type_is_recorded_as_what_it_is(string type)
    {
        var reference = Add(_ => { });
        _registry.Intercept = request => request.Path.Contains("/manifests/", StringComparison.Ordinal)
            ? _registry.Serve(request) is var served ? served with { Headers = [("Content-Type", type), .. served.Headers.Where(header => header.Name != "Content-Type")] } : null
            : null;

        await PullAsync(reference, null, async client => Assert.Equal(TestImage.OciManifest, (await client.GetImageAsync(reference, Stop))!.MediaType));
    }

    [Fact]
    public async Task A_size_that_is_not_that_of_the_content_there_is_a_mismatch()
    {
        var first = Add(_ => { });
        await using var client = await ConnectAsync();
        await client.PullImageAsync(first, cancellation: Stop);
        var layers = await LayersAsync(first);

        await ThrowsAsync(PullErrorKind.DigestMismatch, Add(manifest =>
        {
            manifest["layers"] = layers.DeepClone();
            manifest["layers"]![1]!["size"] = 1L << 49;
        }));

        await client.RemoveImageAsync(first, synchronous: true, Stop);

        async Task<JsonNode> LayersAsync(string reference) =>
            JsonNode.Parse((await client.ReadContentAsync((await client.GetImageAsync(reference, Stop))!.Digest, Stop))!)!["layers"]!;
    }

    [Theory]
    [InlineData("""{"schemaVersion":2,"config":{"digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","size":9223372036854775807}}""")]
    [InlineData("""{"schemaVersion":2,"config":{"mediaType":"\ud800","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","size":1}}""")]
    [InlineData("""{"schemaVersion":2,"config":{"digest":"\udfff","size":1}}""")]
    [InlineData("""{"schemaVersion":1e999,"manifests":[]}""")]
    [InlineData("""{"schemaVersion":2,"manifests":"all"}""")]
    [InlineData("""{"schemaVersion":2,"layers":[],"config":[]}""")]
    [InlineData("deep")]
    [InlineData("many")]
    [InlineData("nested")]
    [InlineData("")]
    [InlineData("\u0000")]
    public async Task An_odd_manifest_is_invalid_and_its_reason_is_short(string json)
    {
        var text = json switch
        {
            "deep" => new string('[', 100_000),
            "many" => """{"schemaVersion":2,"manifests":[""" + string.Join(',', Enumerable.Repeat("{}", 1025)) + "]}",
            _ => json,
        };
        var top = new Blob(TestImage.OciManifest, json == "nested" ? Nested().Bytes : System.Text.Encoding.UTF8.GetBytes(text));
        _registry.AddManifest(_repository, "1", top with { MediaType = "application/json" });

        var error = await ThrowsAsync(PullErrorKind.Invalid, $"{_registry.Host}/{_repository}:1");

        Assert.InRange(error.Message.Length, 20, 600);
    }

    public ValueTask DisposeAsync() => _registry.DisposeAsync();

    private Blob Nested()
    {
        var blob = new Blob(TestImage.OciIndex, TestImage.Utf8(new JsonObject { ["schemaVersion"] = 2, ["manifests"] = new JsonArray() }));
        for (var i = 0; i < 5; i++)
        {
            _registry.AddManifest(_repository, "n" + i, blob);
            blob = new Blob(TestImage.OciIndex, TestImage.Utf8(new JsonObject { ["schemaVersion"] = 2, ["manifests"] = new JsonArray(blob.Descriptor()) }));
        }
        return blob;
    }

    private string Add(Action<JsonNode> change, params Blob[] more)
    {
        var image = PullTests.Unique();
        var manifest = JsonNode.Parse(image.Manifest.Bytes)!;
        change(manifest);
        foreach (var blob in more) _registry.AddBlob(_repository, blob);
        return _registry.Add(image with { Manifest = new Blob(image.Manifest.MediaType, TestImage.Utf8(manifest)) }, _repository, Names.Unique());
    }

    private async Task PullAsync(string reference, IProgress<ProgressInfo>? progress = null, Func<ContainerdClient, Task>? check = null)
    {
        await using var client = await ConnectAsync();
        await client.PullImageAsync(reference, progress, cancellation: Stop);
        Assert.True(await client.IsUnpackedAsync(reference, Stop));
        if (check is not null) await check(client);
        await client.RemoveImageAsync(reference, synchronous: true, Stop);
    }

    private async Task<PullException> ThrowsAsync(PullErrorKind kind, string reference)
    {
        await using var client = await ConnectAsync();
        var error = await Assert.ThrowsAsync<PullException>(() => client.PullImageAsync(reference, cancellation: Stop));
        Assert.True(error.Kind == kind, $"{error.Kind} in place of {kind}: {error}");
        Assert.Null(await client.GetImageAsync(reference, Stop));
        return error;
    }

    private Task<ContainerdClient> ConnectAsync() => ContainerdClient.ConnectAsync(
        SharedDaemon.OptionsFor(shared.Daemon) with { Registry = new RegistryOptions { PlainHttpHosts = [_registry.Host], DockerConfigPath = "/nonexistent" } }, Stop);
}
