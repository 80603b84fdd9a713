using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;
using Reconciler.Testing;
using Reconciler.Testing.Images;

namespace Reconciler.Agent.Tests.Runtime;

[Collection(nameof(SharedDaemon))]
public sealed class ImageTests(SharedDaemon shared)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_pulled_image_is_ours_marked_and_removed()
    {
        await using var registry = await Registry.StartAsync();
        var image = TestImages.Busybox();
        var reference = await registry.PushAsync(image, "lib/busybox", Names.Unique());
        await using var node = await RuntimeNode.StartAsync(shared.Daemon, plainHttp: registry.Host);

        var pulled = await PullAsync(node, reference);
        Assert.Null(pulled.Stale);
        Assert.Equal((reference, image.Manifest.Digest, true, true, null), (pulled.Image.Reference, pulled.Image.Digest, pulled.Image.Managed, pulled.Image.Resolved, pulled.Image.UnusedSince));
        Assert.Empty(node.Runtime.Snapshot());
        Assert.Equal("ran\n", await node.RunAsync(RuntimeNode.Spec("echo ran", process => process with { Image = reference })));

        var since = new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);
        await node.Runtime.MarkImageAsync(new NodeAction.MarkImage(reference, since, "test"), Cancellation);
        Assert.Equal(since, (await ListedAsync(node, reference))!.UnusedSince);
        await node.Runtime.MarkImageAsync(new NodeAction.MarkImage(reference, null, "test"), Cancellation);
        Assert.Null((await ListedAsync(node, reference))!.UnusedSince);

        await registry.StopAsync();
        var kept = await Assert.ThrowsAsync<RuntimeException>(() => RemoveAsync(node, reference));
        Assert.Equal("RegistryUnreachable", kept.Reason);
        Assert.NotNull(await ListedAsync(node, reference));
        await registry.StartAgainAsync();
        await RemoveAsync(node, reference);
        Assert.Null(await ListedAsync(node, reference));
    }

    [Fact]
    public async Task A_moved_tag_keeps_the_digest_that_runs()
    {
        await using var registry = await Registry.StartAsync();
        var tag = Names.Unique();
        var (before, after) = (TestImages.Marked("before " + tag), TestImages.Marked("after " + tag));
        var reference = await registry.PushAsync(before, "lib/moving", tag);
        await using var node = await RuntimeNode.StartAsync(shared.Daemon, plainHttp: registry.Host);
        await PullAsync(node, reference);
        var spec = RuntimeNode.Spec("cat /marker; sleep 1000", process => process with { Image = reference });
        var first = await node.CreateAsync(spec);
        Assert.Equal(before.Manifest.Digest, first.ImageDigest);

        await PullAsync(node, reference); // nothing moved: no other record stays
        var repository = $"{registry.Host}/lib/moving";
        Assert.Null(await ListedAsync(node, $"{repository}@{before.Manifest.Digest}"));

        await registry.PushAsync(after, "lib/moving", tag);
        Assert.Equal(after.Manifest.Digest, (await PullAsync(node, reference)).Image.Digest);
        var kept = await ListedAsync(node, $"{repository}@{before.Manifest.Digest}");
        Assert.Equal((before.Manifest.Digest, true), (kept!.Digest, kept.Managed));
        Assert.Contains(spec.Key, kept.UsedBy);

        await node.StopAsync(first, TimeSpan.Zero);
        var again = await node.CreateAsync(spec, incarnation: 2, digest: before.Manifest.Digest);
        Assert.Equal(before.Manifest.Digest, again.ImageDigest);
        await WrittenAsync(node, again, "before");
        await node.StopAsync(again, TimeSpan.Zero);
        var renewed = await node.CreateAsync(spec, incarnation: 3);
        Assert.Equal(after.Manifest.Digest, renewed.ImageDigest);
        await WrittenAsync(node, renewed, "after");
        await node.RemoveAsync(spec);
    }

    /// <summary>A container that runs has not written yet.</summary>
    private static Task WrittenAsync(RuntimeNode node, ActualContainer container, string text)
    {
        var log = node.Logs.PathsOf(container.Key.Namespace, container.Key.Name.Split('/')[0], "main", container.Incarnation).Out;
        return Eventually.UntilAsync(async () => (await File.ReadAllTextAsync(log, Cancellation)).StartsWith(text, StringComparison.Ordinal), $"{container.Id} writes {text}");
    }

    [Fact]
    public async Task An_absent_registry_is_no_reason_not_to_start()
    {
        await using var registry = await Registry.StartAsync();
        var reference = await registry.PushAsync(TestImages.Busybox(), "lib/stale", Names.Unique());
        await using var node = await RuntimeNode.StartAsync(shared.Daemon, plainHttp: registry.Host);
        var present = (await PullAsync(node, reference)).Image;
        await registry.StopAsync();

        var stale = await PullAsync(node, reference, present.Digest);
        Assert.Equal(present.Digest, stale.Image.Digest);
        Assert.NotNull(stale.Stale);
        var away = await Assert.ThrowsAsync<RuntimeException>(() => PullAsync(node, reference));
        Assert.Equal((RuntimeErrorKind.Failed, "RegistryUnreachable"), (away.Kind, away.Reason));
    }

    [Fact]
    public async Task An_unknown_image_and_wrong_credentials_are_told_apart()
    {
        await using var open = await Registry.StartAsync();
        await using (var node = await RuntimeNode.StartAsync(shared.Daemon, plainHttp: open.Host))
        {
            var missing = await Assert.ThrowsAsync<RuntimeException>(() => PullAsync(node, $"{open.Host}/lib/nothing:1"));
            Assert.Equal((RuntimeErrorKind.Failed, "ImageNotFound"), (missing.Kind, missing.Reason));
        }
        await using var closed = await Registry.StartAsync(authenticated: true);
        var reference = await closed.PushAsync(TestImages.Busybox(), "lib/secret", "1");
        await using (var node = await RuntimeNode.StartAsync(shared.Daemon, plainHttp: closed.Host))
        {
            var refused = await Assert.ThrowsAsync<RuntimeException>(() => PullAsync(node, reference));
            Assert.Equal((RuntimeErrorKind.Failed, "RegistryUnauthorized"), (refused.Kind, refused.Reason));
        }
    }

    private static Task<PulledImage> PullAsync(RuntimeNode node, string reference, string? present = null) =>
        node.Runtime.PullImageAsync(new NodeAction.PullImage(reference, present, "test"), Cancellation);

    private static Task RemoveAsync(RuntimeNode node, string reference) =>
        node.Runtime.RemoveImageAsync(new NodeAction.RemoveImage(reference, "test"), Cancellation);

    private static async Task<ActualImage?> ListedAsync(RuntimeNode node, string reference) =>
        (await node.Runtime.ListAsync(Cancellation)).Resources.GetValueOrDefault(ResourceKey.Image(reference))?.Image;
}
