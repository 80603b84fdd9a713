using System.Text.Json.Nodes;
using Reconciler.Containerd.Api.Snapshots;
using Reconciler.Testing;
using Reconciler.Testing.Images;

namespace Reconciler.Containerd.Tests.Spec;

public sealed class ImageUserTests(SharedDaemon shared)
{
    private const string Passwd = "# users\nroot:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/:/bin/false\nbroken\n";
    private const string Group = "root:x:0:\nweb:x:34:\nlog:x:40:root,web\nempty:x:41:\n";

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("", 0, 0, "0 40")]
    [InlineData("root", 0, 0, "0 40")]
    [InlineData("web", 33, 34, "34 40")]
    [InlineData("33", 33, 34, "34 40")]
    [InlineData("web:log", 33, 40, "40")]
    [InlineData("web:7", 33, 7, "7 40")]
    [InlineData("5000", 5000, 0, "0")]
    [InlineData("5000:log", 5000, 40, "40")]
    [InlineData(":log", 0, 40, "40")]
    public void Names_and_numbers_are_resolved(string text, uint uid, uint gid, string groups)
    {
        var user = ImageUser.Resolve(text, Passwd, Group);

        Assert.Equal((uid, gid, groups), (user.Uid, user.Gid, string.Join(' ', user.AdditionalGids!)));
    }

    [Theory]
    [InlineData("nobody")]
    [InlineData("web:nogroup")]
    [InlineData("4294967296")]
    [InlineData("web:99999999999")]
    public void What_cannot_be_resolved_is_told(string text) =>
        Assert.StartsWith("unable to find ", Assert.Throws<ContainerdException>(() => ImageUser.Resolve(text, Passwd, Group)).Message, StringComparison.Ordinal);

    [Fact]
    public void An_image_without_files_takes_numbers_only()
    {
        Assert.Equal((7u, 0u), (ImageUser.Resolve("7", "", "").Uid, ImageUser.Resolve("7", "", "").Gid));
        Assert.Throws<ContainerdException>(() => ImageUser.Resolve("root", "", ""));
    }

    [Fact]
    public async Task Layers_are_read_as_they_would_be_mounted()
    {
        var image = TestImage.Create(
        [
            new Archive().Folder("etc/").File("etc/passwd", "low").File("etc/gone", "low").Folder("opt/").File("opt/hidden", "low").Folder("dir/").File("dir/a", "a").ToArray(),
            new Archive().Folder("etc/").File("etc/passwd", "high").File("etc/.wh.gone", "").Folder("opt/").File("opt/.wh..wh..opq", "").File("opt/new", "new")
                .Link("etc/group", "../dir/a").Link("abs", "/etc").Link("loop", "loop").Link("escape", "../../../../etc/passwd").ToArray(),
        ], new JsonObject());
        var name = $"example.test/{Names.Unique()}:1";
        await SharedDaemon.ImportAsync(shared.Daemon, image, name);
        await using var client = await shared.ConnectAsync();
        var key = "view-" + Names.Unique();
        var chain = (await client.ResolveImageAsync(name, Stop)).ChainId;
        var mounts = await client.CallAsync(
            options => client.Services.Snapshots.PrepareAsync(new PrepareSnapshotRequest { Snapshotter = "overlayfs", Key = key, Parent = chain }, options), "prepare", Stop);

        var files = LayerFiles.Of(mounts.Mounts, "/")!;

        Assert.Equal("high", files.ReadText("/etc/passwd"));
        Assert.Equal("a", files.ReadText("/etc/group"));
        Assert.Equal("a", files.ReadText("/abs/../dir/./a"));
        Assert.Equal("high", files.ReadText("/abs/passwd"));
        Assert.Equal("high", files.ReadText("/escape"));
        Assert.Equal("new", files.ReadText("/opt/new"));
        foreach (var missing in new[] { "/etc/gone", "/opt/hidden", "/etc", "/none/x", "/loop", "/etc/passwd/x" }) Assert.Null(files.ReadText(missing));
        await client.RemoveSnapshotAsync(key, Stop);
        await client.RemoveSnapshotAsync(key, Stop);
        await client.RemoveImageAsync(name, cancellation: Stop);
    }
}
