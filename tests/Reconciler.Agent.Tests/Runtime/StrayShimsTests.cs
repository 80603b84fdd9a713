using System.Diagnostics;
using Microsoft.Extensions.Time.Testing;
using Microsoft.Win32.SafeHandles;
using Reconciler.Agent.Runtime;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;

namespace Reconciler.Agent.Tests.Runtime;

[Collection(nameof(SharedDaemon))]
public sealed class StrayShimsTests(SharedDaemon shared)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("/usr/bin/containerd-shim-runc-v2|-namespace|ours|-id|a|-address|/c.sock", true)]
    [InlineData("/usr/bin/containerd-shim-runc-v2|-namespace|theirs|-id|a|-address|/c.sock", false)]
    [InlineData("/usr/bin/containerd-shim-runc-v2|-namespace|ours|-address|/c.sock|-publish-binary|containerd|-id|a|start", false)]
    [InlineData("/usr/bin/containerd-shim-runc-v2|-namespace|ours|-address|/c.sock|-publish-binary|containerd|-id|a|-bundle|/b|delete", false)]
    [InlineData("/usr/bin/containerd-shim-runc-v2|-namespace|ours|-address|/c.sock|-id", false)]
    [InlineData("grep|containerd-shim-runc-v2|-namespace|ours|-id|a|-address|/c.sock", false)]
    [InlineData("", false)]
    public void A_shim_is_told_by_its_arguments(string commandLine, bool ours)
    {
        Assert.Equal(ours ? ("a", "/c.sock") : null, StrayShims.ShimIn(commandLine.Replace('|', '\0'), "ours"));
    }

    [Theory]
    [InlineData("12 (sleep) S 7 12 12 0", 7)]
    [InlineData("12 (a) S 1 (b) c) R 9 12 12 0", 9)]
    [InlineData("", 0)]
    public void The_parent_stands_after_the_name(string stat, int parent) => Assert.Equal(parent, StrayShims.ParentIn(stat));

    [Fact]
    public async Task Of_the_shims_of_a_namespace_only_the_one_that_serves_nothing_is_ended()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var spec = RuntimeNode.Spec("while true; do sleep 0.1; done");
        var running = await node.CreateAsync(spec);
        var foreign = "foreign-" + Names.Unique();
        await shared.Daemon.CtrAsync("run", "-d", SharedDaemon.Image, foreign, "sleep", "1000");
        var stray = "stray-" + Names.Unique();
        using var log = await StartShimAsync(node.Folder, stray);

        await node.Runtime.CleanWorkloadsAsync([spec.Key], Cancellation);

        await Eventually.UntilAsync(() => ShimOf(stray) is null, "the shim that serves nothing ends");
        Assert.NotNull(ShimOf(running.Id));
        Assert.NotNull(ShimOf(foreign));
        Assert.Equal(running.Pid, (await node.ObserveAsync(spec)).Single().Pid);
        var shims = new StrayShims(new HostRoot("/"), shared.Daemon.Address, shared.Daemon.Namespace, TimeProvider.System);
        var busy = Assert.Single(shims.Find(id => id != running.Id));
        Assert.Empty(shims.End([busy])); // a process is below it
        await node.RemoveAsync(spec);
        await shared.Daemon.CtrAsync("tasks", "rm", "-f", foreign);
        await shared.Daemon.CtrAsync("containers", "rm", foreign);
    }

    [Fact]
    public async Task A_shim_of_another_containerd_with_the_same_namespace_is_not_ours()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var stray = "stray-" + Names.Unique();
        using var log = await StartShimAsync(node.Folder, stray);
        using var folder = new TempFolder();
        await File.WriteAllTextAsync(folder["other.sock"], "", Cancellation);
        var time = new FakeTimeProvider();

        Assert.Empty(new StrayShims(new HostRoot("/"), folder["other.sock"], shared.Daemon.Namespace, time).Find(_ => false));

        var shims = new StrayShims(new HostRoot("/"), shared.Daemon.Address, shared.Daemon.Namespace, time);
        var found = Assert.Single(shims.Find(id => id != stray));
        Assert.Empty(shims.Find(id => id != stray)); // too soon
        time.Advance(TimeSpan.FromSeconds(30));
        Assert.Equal([found], shims.Find(id => id != stray));
        Assert.Equal([found], shims.End([found]));
        await Eventually.UntilAsync(() => ShimOf(stray) is null, "the shim that serves nothing ends");
    }

    private int? ShimOf(string id) => Leftovers.ShimsOf(shared.Daemon.Address)
        .Where(pid => Leftovers.CommandLine(pid).Contains($"-id {id} ", StringComparison.Ordinal) && !Leftovers.CommandLine(pid).TrimEnd().EndsWith("start", StringComparison.Ordinal))
        .Select(pid => (int?)pid)
        .FirstOrDefault();

    /// <summary>As containerd does before it asks for a task.</summary>
    /// <returns>The reading end of its log, without which it would not start.</returns>
    private async Task<SafeFileHandle> StartShimAsync(string folder, string id)
    {
        var bundle = Directory.CreateDirectory(Path.Combine(folder, id)).FullName;
        await File.WriteAllTextAsync(Path.Combine(bundle, "config.json"), """{ "ociVersion": "1.0.2", "process": { "args": ["x"], "cwd": "/" }, "root": { "path": "rootfs" } }""", Cancellation);
        using (var mkfifo = Process.Start("mkfifo", [Path.Combine(bundle, "log")])) await mkfifo.WaitForExitAsync(Cancellation);
        var log = File.OpenHandle(Path.Combine(bundle, "log"), FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        var start = new ProcessStartInfo("containerd-shim-runc-v2", ["-namespace", shared.Daemon.Namespace, "-address", shared.Daemon.Address, "-publish-binary", "/usr/bin/containerd", "-id", id, "start"])
        {
            WorkingDirectory = bundle,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["TTRPC_ADDRESS"] = shared.Daemon.Address + ".ttrpc";
        using var process = Process.Start(start)!;
        await process.WaitForExitAsync(Cancellation);
        await Eventually.UntilAsync(() => ShimOf(id) is not null, $"the shim of {id} is there: exit code {process.ExitCode}");
        return log;
    }
}
