using System.Diagnostics;
using Reconciler.Testing;

namespace Reconciler.Containerd.Tests.Containers;

[Trait("containerd", "none")]
public sealed class CgroupTests
{
    [Theory]
    [InlineData("/ns/x", "ns/x")]
    [InlineData("ns/x", "ns/x")]
    [InlineData("system.slice:node:x", "system.slice/node-x.scope")]
    [InlineData("a-b.slice:node:x", "a.slice/a-b.slice/node-x.scope")]
    [InlineData(":node:x", "system.slice/node-x.scope")]
    public void Live_processes_are_found_on_v2_also_below(string path, string folder)
    {
        using var root = new TempFolder();
        Write(root["sys/fs/cgroup/cgroup.controllers"], "cpu memory\n");
        Write(root[$"sys/fs/cgroup/{folder}/cgroup.procs"], "");
        var cgroup = new Cgroup(root.Path, path);
        Assert.True(cgroup.IsVisible);
        Assert.Empty(cgroup.Processes());

        Write(root[$"sys/fs/cgroup/{folder}/child/cgroup.procs"], $"{Environment.ProcessId}\n0\n{int.MaxValue}\n");

        Assert.Equal([0, Environment.ProcessId], cgroup.Processes().Order());
    }

    [Fact]
    public void Live_processes_are_found_in_any_controller_of_v1()
    {
        using var root = new TempFolder();
        Write(root["sys/fs/cgroup/cpu/cgroup.procs"], "");
        Write(root["sys/fs/cgroup/memory/cgroup.procs"], "");
        Write(root["sys/fs/cgroup/memory/ns/x/cgroup.procs"], $"{Environment.ProcessId}\n");

        Assert.Equal([Environment.ProcessId], new Cgroup(root.Path, "/ns/x").Processes());
        Assert.Empty(new Cgroup(root.Path, "/ns/y").Processes());
        Assert.Empty(new Cgroup(root.Path, "/").Processes());
        Assert.False(new Cgroup(root["none"], "/ns/x").IsVisible);
    }

    [Fact]
    public async Task Kill_ends_what_is_in_it()
    {
        using var root = new TempFolder();
        using var process = Process.Start("sleep", "1000");
        Write(root["sys/fs/cgroup/cgroup.controllers"], "");
        Write(root["sys/fs/cgroup/ns/x/cgroup.procs"], $"{process.Id}\n");
        var cgroup = new Cgroup(root.Path, "/ns/x");
        Assert.Equal([process.Id], cgroup.Processes());

        cgroup.Kill();

        await process.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(Scripts.Long, TestContext.Current.CancellationToken);
        Assert.Equal(137, process.ExitCode);
        Assert.Empty(cgroup.Processes());
    }

    [Fact]
    public async Task A_lock_has_one_holder_and_waits_as_long_as_asked()
    {
        var stop = TestContext.Current.CancellationToken;
        var locks = new IdLocks(TimeProvider.System);
        var first = await locks.TakeAsync("a", TimeSpan.Zero, stop);
        Assert.NotNull(first);
        Assert.Null(await locks.TakeAsync("a", TimeSpan.Zero, stop));
        Assert.Null(await locks.TakeAsync("a", TimeSpan.FromMilliseconds(20), stop));
        using (await locks.TakeAsync("b", TimeSpan.Zero, stop))
        {
        }
        var waiting = locks.TakeAsync("a", Scripts.Long, stop);
        using var cancel = new CancellationTokenSource();
        var cancelled = locks.TakeAsync("a", Scripts.Long, cancel.Token);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled);
        Assert.False(waiting.IsCompleted);

        first.Dispose();
        first.Dispose();

        using var second = await waiting;
        Assert.NotNull(second);
        Assert.Null(await locks.TakeAsync("a", TimeSpan.Zero, stop));
    }

    private static void Write(string file, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllText(file, text);
    }
}
