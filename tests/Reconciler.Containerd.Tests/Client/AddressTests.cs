using Reconciler.Containerd.Api.Leases;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;

namespace Reconciler.Containerd.Tests.Client;

public sealed class AddressTests(SharedDaemon shared)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public void An_empty_address_is_the_default_socket() =>
        Assert.Equal("/run/containerd/containerd.sock", new ContainerdClientOptions { Address = "" }.SocketPath);

    [Fact]
    public async Task The_address_decides_which_daemon_is_spoken_to()
    {
        await using var other = await ContainerdDaemon.StartAsync();
        await using var here = await shared.ConnectAsync();
        await using var there = await ContainerdClient.ConnectAsync(
            new ContainerdClientOptions { Address = other.Address, Namespace = shared.Daemon.Namespace }, Stop);

        Assert.NotEqual((await here.ServerAsync(Stop)).Uuid, (await there.ServerAsync(Stop)).Uuid);
        Assert.NotNull(await here.GetImageAsync(SharedDaemon.Busybox, Stop));
        Assert.Empty(await there.ListImagesAsync(null, Stop));
    }

    [Fact]
    public async Task Connecting_adopts_no_lease_and_makes_none()
    {
        await using var first = await shared.ConnectAsync();
        var foreign = "foreign-" + Names.Unique();
        await first.Services.Leases.CreateAsync(new CreateRequest { Id = foreign, Labels = { ["example.test/owner"] = "another" } }, first.Call(Stop));
        var recorder = new RpcRecorder();

        await using (var second = await SharedDaemon.ConnectAsync(shared.Daemon, recorder)) await second.ListImagesAsync(null, Stop);

        Assert.All(recorder.Calls, call => Assert.Null(call.Headers!.GetValue("containerd-lease")));
        Assert.DoesNotContain(recorder.Methods, method => method.StartsWith("Leases.", StringComparison.Ordinal));
        var lease = Assert.Single((await first.Services.Leases.ListAsync(new ListRequest { Filters = { "id==" + foreign } }, first.Call(Stop))).Leases);
        Assert.Equal("another", lease.Labels["example.test/owner"]);
        await first.Services.Leases.DeleteAsync(new DeleteRequest { Id = foreign }, first.Call(Stop));
    }
}
