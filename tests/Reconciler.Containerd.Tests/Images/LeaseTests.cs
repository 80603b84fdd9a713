using Reconciler.Containerd.Api.Leases;
using Reconciler.Testing;
using Reconciler.Testing.Images;

namespace Reconciler.Containerd.Tests.Images;

public sealed class LeaseTests(SharedDaemon shared)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_lease_goes_with_what_a_pull_makes_and_with_nothing_else()
    {
        await using var registry = await Registry.StartAsync();
        var image = PullTests.Unique();
        var reference = await registry.PushAsync(image, "r" + Names.Unique(), "1");
        var recorder = new RpcRecorder();
        var options = SharedDaemon.OptionsFor(shared.Daemon) with { Registry = new RegistryOptions { PlainHttpHosts = [registry.Host] } };
        await using var client = await ContainerdClient.OpenAsync(options, recorder, Stop);

        await client.PullImageAsync(reference, cancellation: Stop);

        var lease = Assert.Single(recorder.Requests<CreateRequest>());
        Assert.True(lease.Labels.ContainsKey("containerd.io/gc.expire"));
        var leased = recorder.Calls.Where(call => call.Headers!.GetValue("containerd-lease") is not null).ToList();
        Assert.All(leased, call => Assert.Equal(lease.Id, call.Headers!.GetValue("containerd-lease")));
        Assert.Equal(
            ["Content.Write", "Diff.Apply", "Images.Create", "Snapshots.Commit", "Snapshots.Prepare"],
            leased.Select(call => call.Method).Distinct().Order(StringComparer.Ordinal));
        Assert.Equal(recorder.Methods.Count(IsMaking), leased.Count);
        // A daemon that is slow to delete it is asked again behind the caller's back.
        await Eventually.UntilAsync(
            async () => (await client.Services.Leases.ListAsync(new ListRequest { Filters = { "id==" + lease.Id } }, client.Call(Stop))).Leases.Count == 0, "the lease goes");
        Assert.Equal([lease.Id], recorder.Requests<DeleteRequest>().Select(request => request.Id).Distinct());

        await client.RemoveImageAsync(reference, synchronous: true, Stop);
        var content = await shared.Daemon.CtrAsync("content", "ls", "-q");
        Assert.All([image.Manifest, image.Config, image.Layers[^1]], blob => Assert.DoesNotContain(blob.Digest, content, StringComparison.Ordinal));
    }

    private static bool IsMaking(string method) => method is "Content.Write" or "Diff.Apply" or "Images.Create" or "Images.Update" or "Snapshots.Prepare" or "Snapshots.Commit";
}
