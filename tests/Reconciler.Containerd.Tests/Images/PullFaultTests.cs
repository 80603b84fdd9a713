using System.Text.Json.Nodes;
using Reconciler.Containerd.Tests.Registries;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.Containerd.Tests.Images;

/// <summary>Pulls that go wrong: from a registry that misbehaves, into a real containerd that nobody else uses.</summary>
public sealed class PullFaultTests(PullFaultTests.OwnDaemon own) : IClassFixture<PullFaultTests.OwnDaemon>, IAsyncDisposable
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

    [Fact]
    public async Task Cancelled_while_a_blob_is_under_way_it_leaves_nothing_locked()
    {
        var (image, layer) = Large();
        var reference = _registry.Add(image);
        var never = new TaskCompletionSource();
        var under = new TaskCompletionSource();
        _registry.Intercept = request => Held(request, layer, under, never.Task);
        await using var client = await ConnectAsync();
        using var cancel = new CancellationTokenSource();
        var pulling = client.PullImageAsync(reference, cancellation: cancel.Token);
        await under.Task.WaitAsync(Eventually.DefaultLimit, Stop);

        await cancel.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => pulling);
        await AssertNoLeaseAndNoExtractAsync();
        Assert.Null(await client.GetImageAsync(reference, Stop));
        _registry.Intercept = _ => null;
        await client.PullImageAsync(reference, cancellation: Stop);
        await AssertCleanAsync(client, reference);
    }

    [Fact]
    public async Task Cancelled_at_any_call_it_leaves_no_lease_and_no_snapshot()
    {
        var calls = new CancelAtCall();
        await using var client = await ContainerdClient.OpenAsync(Options(), calls, Stop);
        for (var call = 1; ; call++)
        {
            var reference = _registry.Add(PullTests.Unique(), "c/" + Names.Unique());
            using var cancel = new CancellationTokenSource();
            calls.Arm(call, cancel);
            try
            {
                await client.PullImageAsync(reference, cancellation: cancel.Token);
            }
            catch (OperationCanceledException)
            {
            }
            var reached = calls.Reached;
            calls.Arm(int.MaxValue, cancel);
            await AssertNoLeaseAndNoExtractAsync();
            if (await client.GetImageAsync(reference, Stop) is not null)
            {
                Assert.True(await client.IsUnpackedAsync(reference, Stop)); // whatever was recorded is whole
                await client.RemoveImageAsync(reference, synchronous: true, Stop);
            }
            if (!reached) break;
            Assert.True(call < 500, "a pull takes a bounded number of calls");
        }
    }

    [Fact]
    public async Task A_caller_that_leaves_does_not_end_the_pull_of_another()
    {
        var (image, layer) = Large();
        var reference = _registry.Add(image);
        var go = new TaskCompletionSource();
        var under = new TaskCompletionSource();
        _registry.Intercept = request => Held(request, layer, under, go.Task);
        await using var client = await ConnectAsync();
        using var cancel = new CancellationTokenSource();
        var leaving = client.PullImageAsync(reference, cancellation: cancel.Token);
        var staying = client.PullImageAsync(reference, cancellation: Stop);
        await under.Task.WaitAsync(Eventually.DefaultLimit, Stop);

        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => leaving);
        go.SetResult();

        Assert.Equal(image.Manifest.Digest, (await staying).Digest);
        Assert.Single(_registry.BlobGets(layer.Digest));
        await AssertCleanAsync(client, reference);
    }

    [Fact]
    public async Task Closing_the_client_ends_its_pulls_and_tidies_up()
    {
        var (image, layer) = Large();
        var reference = _registry.Add(image);
        var under = new TaskCompletionSource();
        _registry.Intercept = request => Held(request, layer, under, new TaskCompletionSource().Task);
        var client = await ConnectAsync();
        using var json = new MemoryStream();
        var pulling = client.PullImageAsync(reference, cancellation: Stop);
        var joined = client.PullImageAsync(reference, json, cancellation: Stop);
        await under.Task.WaitAsync(Eventually.DefaultLimit, Stop);

        await client.DisposeAsync();

        await Assert.ThrowsAsync<ObjectDisposedException>(() => pulling);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => joined);
        await AssertNoLeaseAndNoExtractAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => client.PullImageAsync(reference, cancellation: Stop));
    }

    [Fact]
    public async Task A_daemon_killed_under_way_is_unavailable_and_the_next_pull_succeeds()
    {
        await using var daemon = await ContainerdDaemon.StartAsync();
        var (image, layer) = Large();
        var reference = _registry.Add(image);
        var go = new TaskCompletionSource();
        var under = new TaskCompletionSource();
        _registry.Intercept = request => Held(request, layer, under, go.Task);
        await using var client = await ContainerdClient.ConnectAsync(Options(daemon), Stop);
        var pulling = client.PullImageAsync(reference, cancellation: Stop);
        await under.Task.WaitAsync(Eventually.DefaultLimit, Stop);

        await daemon.KillAsync();
        go.SetResult();

        var error = await Assert.ThrowsAnyAsync<ContainerdException>(() => pulling);
        Assert.True(error.IsUnavailable, error.ToString());
        await daemon.StartAgainAsync();
        await client.PullImageAsync(reference, cancellation: Stop);
        Assert.True(await client.IsUnpackedAsync(reference, Stop));
    }

    [Fact]
    public async Task A_full_disk_is_told_apart()
    {
        await using var daemon = await ContainerdDaemon.StartAsync();
        await daemon.StopAsync();
        await Shell.OutputAsync("mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", daemon.Root);
        await daemon.StartAgainAsync();
        var reference = _registry.Add(TestImages.WithLayers(8 * Megabyte));
        await using var client = await ContainerdClient.ConnectAsync(Options(daemon), Stop);

        var error = await Assert.ThrowsAsync<PullException>(() => client.PullImageAsync(reference, cancellation: Stop));

        Assert.True(error.Kind == PullErrorKind.DiskFull, error.ToString());
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
