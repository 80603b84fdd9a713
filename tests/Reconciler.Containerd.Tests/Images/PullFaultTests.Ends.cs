using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.Containerd.Tests.Images;

/// <content>Pulls that are ended from outside.</content>
public sealed partial class PullFaultTests
{
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
}
