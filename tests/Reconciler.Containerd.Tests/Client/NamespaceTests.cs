using Reconciler.Testing;
using Reconciler.Testing.Containerd;

namespace Reconciler.Containerd.Tests.Client;

public sealed class NamespaceTests(SharedDaemon shared)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_namespace_is_made_listed_labelled_and_removed()
    {
        await using var client = await shared.ConnectAsync();
        var name = "t" + Names.Unique();

        await client.CreateNamespaceAsync(name, new Dictionary<string, string> { ["example.test/a"] = "1", ["example.test/b.c"] = "2" }, Stop);
        Assert.Equal([("example.test/a", "1"), ("example.test/b.c", "2")], await LabelsAsync(client, name));
        await client.UpdateNamespaceLabelsAsync(name, new Dictionary<string, string> { ["example.test/a"] = "", ["example.test/d"] = "3" }, Stop);
        Assert.Equal([("example.test/b.c", "2"), ("example.test/d", "3")], await LabelsAsync(client, name));
        await client.UpdateNamespaceLabelsAsync(name, new Dictionary<string, string>(), Stop);
        Assert.Equal(2, (await LabelsAsync(client, name)).Count);
        var twice = await Assert.ThrowsAsync<ContainerdException>(() => client.CreateNamespaceAsync(name, null, Stop));
        Assert.Equal("AlreadyExists", twice.RpcStatus);
        Assert.Contains(await client.ListNamespacesAsync(Stop), found => found.Name == shared.Daemon.Namespace);

        await client.RemoveNamespaceAsync(name, Stop);
        await client.RemoveNamespaceAsync(name, Stop);

        Assert.DoesNotContain(await client.ListNamespacesAsync(Stop), found => found.Name == name);
    }

    [Fact]
    public async Task Labels_of_a_namespace_that_is_not_there_make_none()
    {
        await using var client = await shared.ConnectAsync();
        var name = "t" + Names.Unique();

        var error = await Assert.ThrowsAsync<ContainerdException>(
            () => client.UpdateNamespaceLabelsAsync(name, new Dictionary<string, string> { ["a"] = "b" }, Stop));

        Assert.Equal("NotFound", error.RpcStatus);
        Assert.Contains(name, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(await client.ListNamespacesAsync(Stop), found => found.Name == name);
    }

    [Fact]
    public async Task A_namespace_in_use_is_not_removed_and_says_by_what()
    {
        await using var client = await shared.ConnectAsync();

        var error = await Assert.ThrowsAsync<ContainerdException>(() => client.RemoveNamespaceAsync(shared.Daemon.Namespace, Stop));

        Assert.Equal("FailedPrecondition", error.RpcStatus);
        Assert.Contains("images", error.Message, StringComparison.Ordinal);
        Assert.NotNull(await client.GetImageAsync(SharedDaemon.Busybox, Stop));
    }

    [Fact]
    public async Task A_service_that_containerd_lacks_is_a_clear_error()
    {
        await using var daemon = await ContainerdDaemon.StartAsync("io.containerd.grpc.v1.namespaces");
        await using var client = await SharedDaemon.ConnectAsync(daemon);

        var error = await Assert.ThrowsAsync<ContainerdException>(() => client.ListNamespacesAsync(Stop));

        Assert.Equal(("Unimplemented", null), (error.RpcStatus, error.Code));
        Assert.StartsWith("list namespaces: this containerd does not offer it, by its version or its disabled plugins: unknown service", error.Message, StringComparison.Ordinal);
        Assert.NotEmpty((await client.VersionAsync(Stop)).Version);
    }

    private static async Task<List<(string, string)>> LabelsAsync(ContainerdClient client, string name) =>
        [.. Assert.Single(await client.ListNamespacesAsync(Stop), found => found.Name == name).Labels.Select(label => (label.Key, label.Value)).Order()];
}
