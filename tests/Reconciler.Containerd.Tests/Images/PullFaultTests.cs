using System.Text.Json.Nodes;
using Reconciler.Containerd.Tests.Registries;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.Containerd.Tests.Images;

/// <summary>Pulls that go wrong: from a registry that misbehaves, into a real containerd that nobody else uses.</summary>
public sealed partial class PullFaultTests(PullFaultTests.OwnDaemon own) : IClassFixture<PullFaultTests.OwnDaemon>, IAsyncDisposable
{
    private const int Megabyte = 1024 * 1024;

    private readonly FakeRegistry _registry = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private ContainerdDaemon Daemon => own.Daemon;

    [Fact]
    public async Task A_blob_that_breaks_off_is_resumed_by_range()
    {
        var (image, layer) = Large();
        var reference = _registry.Add(image);
        var cuts = 2;
        _registry.Intercept = request => IsGet(request, layer) && Interlocked.Decrement(ref cuts) >= 0
            ? _registry.Serve(request) with { CutAfter = 700_000 }
            : null;
        await using var client = await ConnectAsync();

        await client.PullImageAsync(reference, cancellation: Stop);

        Assert.Equal([null, "bytes=700000-", "bytes=1400000-"], _registry.BlobGets(layer.Digest).Select(request => request["Range"]));
        await AssertCleanAsync(client, reference);
    }

    [Fact]
    public async Task A_registry_without_ranges_is_read_from_the_start_again()
    {
        var (image, layer) = Large();
        var reference = _registry.Add(image);
        var cuts = 1;
        _registry.Intercept = request => !IsGet(request, layer) ? null
            : new FakeAnswer(200, layer.Bytes) { CutAfter = Interlocked.Decrement(ref cuts) >= 0 ? 1_500_000 : null };
        await using var client = await ConnectAsync();

        await client.PullImageAsync(reference, cancellation: Stop);

        Assert.Equal(2, _registry.BlobGets(layer.Digest).Count());
        await AssertCleanAsync(client, reference);
    }

    [Fact]
    public async Task A_failed_pull_keeps_what_it_has_and_the_next_one_goes_on_from_there()
    {
        var (image, layer) = Large();
        var reference = _registry.Add(image);
        Break(layer, layer.Bytes);
        await using var client = await ConnectAsync();
        var error = await Assert.ThrowsAsync<PullException>(() => client.PullImageAsync(reference, cancellation: Stop));
        Assert.Equal(PullErrorKind.NotFound, error.Kind);
        await AssertNoLeaseAndNoExtractAsync();
        Assert.Null(await client.GetImageAsync(reference, Stop));
        await CollectAsync(client);
        _registry.Intercept = _ => null;

        await client.PullImageAsync(reference, cancellation: Stop);

        Assert.Equal($"bytes={2 * Megabyte}-", _registry.BlobGets(layer.Digest).Last()["Range"]);
        await AssertCleanAsync(client, reference);
    }

    [Fact]
    public async Task A_wrong_beginning_of_an_earlier_pull_is_fetched_again()
    {
        var (image, layer) = Large();
        var reference = _registry.Add(image);
        Break(layer, new byte[layer.Bytes.Length]);
        await using var client = await ConnectAsync();
        await Assert.ThrowsAsync<PullException>(() => client.PullImageAsync(reference, cancellation: Stop));
        _registry.Intercept = _ => null;

        await client.PullImageAsync(reference, cancellation: Stop);

        Assert.Equal([$"bytes={2 * Megabyte}-", null], _registry.BlobGets(layer.Digest).TakeLast(2).Select(request => request["Range"]));
        await AssertCleanAsync(client, reference);
    }

    [Fact]
    public async Task A_layer_of_another_digest_is_a_mismatch_and_nothing_of_it_stays()
    {
        var (image, layer) = Large();
        var reference = _registry.Add(image);
        _registry.Intercept = request => IsGet(request, layer) ? new FakeAnswer(200, new byte[layer.Bytes.Length]) : null;
        await using var client = await ConnectAsync();
        var progress = new PullTests.Seen();

        await ThrowsAsync(PullErrorKind.DigestMismatch, client, reference, progress);

        Assert.Equal(500, progress.Last(reference).Code);
        Assert.Contains(layer.Digest, progress.Last(reference).ErrorMessage, StringComparison.Ordinal);
        Assert.DoesNotContain(layer.Digest, await Daemon.CtrAsync("content", "active"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(1)]
    public async Task A_layer_of_another_size_is_a_mismatch(int more)
    {
        var (image, layer) = Large();
        var reference = _registry.Add(image);
        _registry.Intercept = request => IsGet(request, layer) ? new FakeAnswer(200, new byte[layer.Bytes.Length + more]) : null;
        await using var client = await ConnectAsync();

        await ThrowsAsync(PullErrorKind.DigestMismatch, client, reference);
    }

    [Theory]
    [InlineData("config")]
    [InlineData("manifest")]
    public async Task A_small_blob_of_another_digest_is_a_mismatch(string what)
    {
        var image = PullTests.Unique();
        var reference = _registry.Add(image);
        var blob = what == "config" ? image.Config : image.Manifest;
        _registry.Intercept = request => request.Method == "GET" && request.Path.EndsWith(blob.Digest, StringComparison.Ordinal) ? new FakeAnswer(200, new byte[blob.Bytes.Length]) : null;
        await using var client = await ConnectAsync();

        await ThrowsAsync(PullErrorKind.DigestMismatch, client, reference);
    }

    [Fact]
    public async Task A_layer_that_is_not_what_the_config_says_is_a_mismatch_and_leaves_no_snapshot()
    {
        var reference = _registry.Add(WithConfig(config => config["rootfs"]!["diff_ids"]![1] = "sha256:" + new string('0', 64)));
        await using var client = await ConnectAsync();

        await ThrowsAsync(PullErrorKind.DigestMismatch, client, reference);
    }

    [Fact]
    public async Task A_config_with_too_few_layers_is_invalid()
    {
        var reference = _registry.Add(WithConfig(config => config["rootfs"]!["diff_ids"]!.AsArray().RemoveAt(1)));
        await using var client = await ConnectAsync();

        await ThrowsAsync(PullErrorKind.Invalid, client, reference);
    }

    [Fact]
    public async Task A_layer_that_is_no_archive_fails_and_leaves_no_snapshot()
    {
        var image = PullTests.Unique();
        var junk = new Blob(TestImage.OciLayerGzip, [1, 2, 3, 4]);
        var manifest = JsonNode.Parse(image.Manifest.Bytes)!;
        manifest["layers"]![1] = junk.Descriptor();
        var reference = _registry.Add(new TestImage(new Blob(TestImage.OciManifest, TestImage.Utf8(manifest)), image.Config, [image.Layers[0], junk]));
        await using var client = await ConnectAsync();

        await Assert.ThrowsAnyAsync<ContainerdException>(() => client.PullImageAsync(reference, cancellation: Stop));

        await AssertNoLeaseAndNoExtractAsync();
        Assert.Null(await client.GetImageAsync(reference, Stop));
    }

    [Fact]
    public async Task Schema_1_is_invalid_and_named()
    {
        _registry.AddManifest("a/b", "1", new Blob("application/vnd.docker.distribution.manifest.v1+prettyjws", """{"schemaVersion":1}"""u8.ToArray()));
        await using var client = await ConnectAsync();

        Assert.Contains("schema 1", (await ThrowsAsync(PullErrorKind.Invalid, client, $"{_registry.Host}/a/b:1")).Message, StringComparison.Ordinal);
    }

    public ValueTask DisposeAsync() => _registry.DisposeAsync();

    /// <summary>Two full messages of the layer arrive and a part of a third; then it is gone.</summary>
    private void Break(Blob layer, byte[] bytes)
    {
        var served = 0;
        _registry.Intercept = request => !IsGet(request, layer) ? null
            : Interlocked.Increment(ref served) == 1 ? new FakeAnswer(200, bytes) { CutAfter = (2 * Megabyte) + 1000 } : new FakeAnswer(404);
    }

    private FakeAnswer? Held(FakeRequest request, Blob layer, TaskCompletionSource under, Task hold)
    {
        if (!IsGet(request, layer)) return null;
        under.TrySetResult();
        return _registry.Serve(request) with { CutAfter = 100, Hold = hold };
    }

    private static bool IsGet(FakeRequest request, Blob blob) => request.Method == "GET" && request.Path.EndsWith(blob.Digest, StringComparison.Ordinal);

    private static (TestImage Image, Blob Layer) Large()
    {
        var content = new byte[3 * Megabyte];
        new Random(Names.Unique().GetHashCode(StringComparison.Ordinal)).NextBytes(content);
        using var archive = new Archive();
        var image = TestImage.Create([archive.File("large", content).ToArray()], gzip: false);
        return (image, image.Layers[0]);
    }

    private static TestImage WithConfig(Action<JsonNode> change)
    {
        var image = PullTests.Unique();
        var config = JsonNode.Parse(image.Config.Bytes)!;
        change(config);
        var blob = new Blob(image.Config.MediaType, TestImage.Utf8(config));
        var manifest = JsonNode.Parse(image.Manifest.Bytes)!;
        manifest["config"] = blob.Descriptor();
        return new TestImage(new Blob(image.Manifest.MediaType, TestImage.Utf8(manifest)), blob, image.Layers);
    }

    private async Task<PullException> ThrowsAsync(PullErrorKind kind, ContainerdClient client, string reference, IProgress<ProgressInfo>? progress = null)
    {
        var error = await Assert.ThrowsAsync<PullException>(() => client.PullImageAsync(reference, progress, cancellation: Stop));
        Assert.True(error.Kind == kind, $"{error.Kind} in place of {kind}: {error}");
        await AssertNoLeaseAndNoExtractAsync();
        Assert.Null(await client.GetImageAsync(reference, Stop));
        return error;
    }

    /// <summary>The pull is whole, and gone with all it made once its record is.</summary>
    private async Task AssertCleanAsync(ContainerdClient client, string reference)
    {
        Assert.True(await client.IsUnpackedAsync(reference, Stop));
        await AssertNoLeaseAndNoExtractAsync();
        await client.RemoveImageAsync(reference, synchronous: true, Stop);
    }

    private async Task AssertNoLeaseAndNoExtractAsync()
    {
        // A cancelled pull tidies up behind its caller.
        await Eventually.UntilAsync(async () => (await Daemon.CtrAsync("leases", "ls", "-q")).Trim().Length == 0, "the lease goes");
        await Eventually.UntilAsync(async () => !(await Daemon.CtrAsync("snapshots", "ls")).Contains("extract-", StringComparison.Ordinal), "unfinished snapshots go");
    }

    private static async Task CollectAsync(ContainerdClient client)
    {
        var name = "collect" + Names.Unique();
        await client.TagImageAsync(OwnDaemon.Any, name, cancellation: Stop);
        await client.RemoveImageAsync(name, synchronous: true, Stop);
    }

    private Task<ContainerdClient> ConnectAsync() => ContainerdClient.ConnectAsync(Options(), Stop);

    private ContainerdClientOptions Options(ContainerdDaemon? daemon = null) => SharedDaemon.OptionsFor(daemon ?? Daemon) with
    {
        Registry = new RegistryOptions { PlainHttpHosts = [_registry.Host], DockerConfigPath = "/nonexistent" },
    };

    public sealed class OwnDaemon : IAsyncLifetime
    {
        public const string Any = "example.test/any:1";

        public ContainerdDaemon Daemon { get; private set; } = null!;

        public async ValueTask InitializeAsync()
        {
            Daemon = await ContainerdDaemon.StartAsync();
            await SharedDaemon.ImportAsync(Daemon, PullTests.Unique(), Any);
        }

        public ValueTask DisposeAsync() => Daemon.DisposeAsync();
    }
}
