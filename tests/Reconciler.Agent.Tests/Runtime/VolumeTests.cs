using Reconciler.Core.Model;
using Reconciler.Core.Ports;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.Runtime;

[Collection(nameof(SharedDaemon))]
public sealed class VolumeTests(SharedDaemon shared)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_emptyDir_lives_as_long_as_its_workload()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var spec = RuntimeNode.Spec("echo again >>/data/x; cat /data/x", LifecycleTests.WithData);
        var folder = Path.Combine(node.Folder, "state/volumes/test", spec.Workload);
        Assert.Equal("again\n", await node.RunAsync(spec));
        await node.Runtime.CleanWorkloadsAsync([spec.Key], Cancellation); // still declared
        Assert.Equal("again\nagain\n", await node.RunAsync(spec));

        var kept = await node.CreateAsync(spec, incarnation: 9);
        await node.Runtime.CleanWorkloadsAsync([], Cancellation); // a container of it exists
        Assert.True(Directory.Exists(folder));
        await node.UntilExitedAsync(spec);
        await node.DeleteAsync(kept);
        await node.Runtime.CleanWorkloadsAsync([], Cancellation);
        Assert.False(Directory.Exists(folder));
    }

    [Fact]
    public async Task Memory_is_a_tmpfs_of_the_limit()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var output = await node.RunAsync(RuntimeNode.Spec("grep ' /mem ' /proc/mounts; df -k /mem; touch /mem/x && echo written", process => process with
        {
            Mounts = [new Mount("/mem", false, new Volume.EmptyDir("mem", true, 4 << 20))],
            Security = new SecuritySettings { RunAsUser = 1000, RunAsGroup = 1000 },
        }));
        Assert.StartsWith("tmpfs /mem tmpfs rw", output, StringComparison.Ordinal);
        Assert.Contains(" 4096 ", output, StringComparison.Ordinal);
        Assert.EndsWith("written\n", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Host_paths_are_made_read_and_protected()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        using var host = new TempFolder();
        await File.WriteAllTextAsync(host["file"], "content\n", Cancellation);
        var output = await node.RunAsync(RuntimeNode.Spec(
            "cat /in/file; touch /in/new 2>/dev/null || echo protected; echo made >/out/x; echo filed >/log",
            process => process with
            {
                Mounts =
                [
                    new Mount("/in", true, new Volume.HostPath("in", host.Path, "Directory")),
                    new Mount("/out", false, new Volume.HostPath("out", host["made/deep"], "DirectoryOrCreate")),
                    new Mount("/log", false, new Volume.HostPath("log", host["log"], "FileOrCreate")),
                ],
            }));
        Assert.Equal("content\nprotected\n", output);
        Assert.Equal("made\n", await File.ReadAllTextAsync(host["made/deep/x"], Cancellation));
        Assert.Equal("filed\n", await File.ReadAllTextAsync(host["log"], Cancellation));
    }

    [Theory]
    [InlineData("", "missing", "MountSourceMissing")]
    [InlineData("Directory", "missing", "MountSourceMissing")]
    [InlineData("FileOrCreate", "missing/file", "MountSourceMissing")]
    [InlineData("Directory", "file", "MountSourceWrongType")]
    [InlineData("File", "folder", "MountSourceWrongType")]
    [InlineData("Socket", "file", "MountSourceWrongType")]
    [InlineData("BlockDevice", "file", "MountSourceWrongType")]
    [InlineData("CharDevice", "folder", "MountSourceWrongType")]
    public async Task A_source_that_does_not_fit_is_refused_and_leaves_nothing(string type, string path, string reason)
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        using var host = new TempFolder();
        await File.WriteAllTextAsync(host["file"], "", Cancellation);
        Directory.CreateDirectory(host["folder"]);
        var spec = RuntimeNode.Spec("true", process => process with { Mounts = [new Mount("/x", false, new Volume.HostPath("x", host[path], type))] });
        var refused = await Assert.ThrowsAsync<RuntimeException>(() => node.CreateAsync(spec));
        Assert.Equal((RuntimeErrorKind.Refused, reason), (refused.Kind, refused.Reason));
        Assert.Contains(host[path], refused.Message, StringComparison.Ordinal);
        Assert.Empty(await node.ObserveAsync(spec));
        Assert.DoesNotContain(spec.Workload, await shared.Daemon.CtrAsync("containers", "ls"), StringComparison.Ordinal);
    }
}
