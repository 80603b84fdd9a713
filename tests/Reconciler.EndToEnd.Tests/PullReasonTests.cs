using System.Text;
using System.Text.Json.Nodes;
using Reconciler.Testing;
using Reconciler.Testing.Images;

namespace Reconciler.EndToEnd.Tests;

/// <summary>What keeps an image away is a reason in <c>get</c>; once it is mended the container runs, without a word from anyone.</summary>
public sealed class PullReasonTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Wrong_credentials()
    {
        await using var registry = await Registry.StartAsync(authenticated: true);
        var image = await registry.PushAsync(TestImages.Busybox(), "lib/secret", "1");
        await using var node = await AgentNode.StartAsync(start: false);
        var config = Path.Combine(node.Folder, "docker.json");
        await File.WriteAllTextAsync(config, Credentials(registry, "wrong"), Cancellation);
        node.StartAgent(null, "--plain-http", registry.Host, "--docker-config", config);
        Declare(node, image);

        var row = await ReasonAsync(node, "RegistryUnauthorized");
        Assert.DoesNotContain("wrong", row.ToJsonString(), StringComparison.Ordinal);
        Assert.Empty(await node.ContainerIdsAsync());

        await File.WriteAllTextAsync(config, Credentials(registry, Registry.Password), Cancellation);
        await node.RunningAsync("default-web-main");
    }

    [Fact]
    public async Task A_layer_that_is_not_what_its_digest_says()
    {
        await using var registry = await Registry.StartAsync();
        var busybox = TestImages.Busybox();
        var image = await registry.PushAsync(busybox, "lib/broken", "1");
        var layer = busybox.Layers[0];
        var broken = layer.Bytes.ToArray();
        broken[^1] ^= 1;
        await registry.ReplaceAsync(layer, broken);
        await using var node = await AgentNode.StartAsync(start: false);
        node.StartAgent(null, "--plain-http", registry.Host);
        Declare(node, image);

        await ReasonAsync(node, "DigestMismatch");
        Assert.DoesNotContain(layer.Digest, await node.Daemon.CtrAsync("content", "ls", "-q"), StringComparison.Ordinal);

        await registry.ReplaceAsync(layer, layer.Bytes);
        await node.RunningAsync("default-web-main");
    }

    [Fact]
    public async Task A_full_disk()
    {
        await using var registry = await Registry.StartAsync();
        var image = await registry.PushAsync(TestImages.WithLayers(8 << 20), "lib/large", "1");
        await using var node = await AgentNode.StartAsync(start: false);
        await node.Daemon.StopAsync();
        await Shell.OutputAsync("mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", node.Daemon.Root);
        await node.Daemon.StartAgainAsync();
        node.StartAgent(null, "--plain-http", registry.Host);
        Declare(node, image);

        await ReasonAsync(node, "DiskFull");
        Assert.Empty(await node.ContainerIdsAsync());

        await Shell.OutputAsync("mount", "-o", "remount,size=128m", node.Daemon.Root);
        await node.RunningAsync("default-web-main");
        await node.ConvergedAsync();
        Assert.DoesNotContain("reconciler", await node.Daemon.CtrAsync("leases", "ls", "-q"), StringComparison.Ordinal);
    }

    private static void Declare(AgentNode node, string image) => node.Declare("web.yaml", Manifest.Sleepers("web", "main").Replace(SharedRegistry.Busybox, image, StringComparison.Ordinal));

    private static Task<JsonNode> ReasonAsync(AgentNode node, string reason) => Eventually.GetAsync(
        async () => (await node.ContainersAsync()).FirstOrDefault(row => (string?)row["reason"] == reason && (string?)row["state"] == "Pending"),
        $"get says {reason}");

    private static string Credentials(Registry registry, string password) => new JsonObject
    {
        ["auths"] = new JsonObject
        {
            [registry.Host] = new JsonObject { ["auth"] = Convert.ToBase64String(Encoding.UTF8.GetBytes($"{Registry.User}:{password}")) },
        },
    }.ToJsonString();
}
