using Reconciler.Containerd.Tests.Registries;
using Reconciler.Testing;
using Reconciler.Testing.Images;

namespace Reconciler.Containerd.Tests.Images;

/// <content>What a pull tells while it runs, and how much of it runs at once.</content>
public sealed partial class PullTests
{
    [Fact]
    public async Task Each_layer_is_shown_downloading_and_at_last_unpacked()
    {
        await using var fake = new FakeRegistry();
        var image = TestImages.WithLayers(50_000, 60_000);
        var reference = fake.Add(image, _repository);
        var layer = image.Layers[1];
        var go = new TaskCompletionSource();
        fake.Intercept = request => IsGet(request, layer) ? fake.Serve(request) with { CutAfter = 1000, Hold = go.Task } : null;
        await using var client = await ConnectAsync(plainHttp: fake.Host);
        var progress = new Seen();

        var pulling = client.PullImageAsync(reference, progress, cancellation: Stop);
        await Eventually.UntilAsync(() => progress.All.Any(item => item.Ref == "layer-" + layer.Digest && item.Status == "downloading" && item.Offset == 1000), "its first bytes are shown");
        go.SetResult();
        await pulling;

        Assert.Equal("done", progress.Last(reference).Status);
        Assert.All(image.Layers.Skip(1).Select(item => progress.Last("layer-" + item.Digest)), item => Assert.Equal("unpacked", item.Status));
        Assert.Equal((layer.Bytes.Length, layer.Bytes.Length), (progress.Last("layer-" + layer.Digest).Offset, progress.Last("layer-" + layer.Digest).Total));
        await client.RemoveImageAsync(reference, synchronous: true, Stop);
    }

    [Fact]
    public async Task No_more_layers_are_fetched_at_once_than_is_allowed()
    {
        const int allowed = 2;
        await using var fake = new FakeRegistry();
        var image = TestImage.Create([.. Enumerable.Range(0, 6).Select(i => new Archive().File("f" + i, Names.Unique()).ToArray())]);
        var reference = fake.Add(image, _repository);
        var gate = new Lock();
        var (waiting, released, most) = (new Queue<TaskCompletionSource>(), 0, 0);
        fake.Intercept = request =>
        {
            if (!image.Layers.Any(layer => IsGet(request, layer))) return null;
            var go = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            lock (gate)
            {
                waiting.Enqueue(go);
                most = Math.Max(most, waiting.Count);
            }
            return fake.Serve(request) with { CutAfter = 1, Hold = go.Task };
        };
        await using var client = await ContainerdClient.ConnectAsync(
            SharedDaemon.OptionsFor(shared.Daemon) with { Registry = new RegistryOptions { PlainHttpHosts = [fake.Host], DockerConfigPath = "/nonexistent", MaxParallelDownloads = allowed } }, Stop);

        var pulling = client.PullImageAsync(reference, cancellation: Stop);
        for (; released < image.Layers.Count; released++)
        {
            // All that may come have come before the next one is let go.
            await Eventually.UntilAsync(() => Count() == Math.Min(allowed, image.Layers.Count - released), "as many as are allowed are under way");
            lock (gate) waiting.Dequeue().SetResult();
        }
        await pulling;

        Assert.Equal(allowed, most);
        await client.RemoveImageAsync(reference, synchronous: true, Stop);

        int Count()
        {
            lock (gate) return waiting.Count;
        }
    }

    private static bool IsGet(FakeRequest request, Blob blob) => request.Method == "GET" && request.Path.EndsWith(blob.Digest, StringComparison.Ordinal);
}
