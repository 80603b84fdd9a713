using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using Reconciler.Agent.Node;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.Node;

public sealed class InstanceLockTests : IDisposable
{
    private readonly TempFolder _folder = new();

    [Fact]
    public void The_place_is_the_hosts_and_names_containerd_and_namespace()
    {
        Assert.Equal("/run/reconciler/0a1b-prod.lock", InstanceLock.PathOf("/", "0a1b", "prod"));
        Assert.Equal("/host/run/reconciler/0a1b-prod.lock", InstanceLock.PathOf("/host", "0a1b", "prod"));
        Assert.Throws<ArgumentException>(() => InstanceLock.PathOf("/", "../x", "prod"));
    }

    [Fact]
    public async Task The_second_waits_and_is_told_who_holds_it()
    {
        var path = InstanceLock.PathOf(_folder.Path, "uuid", "ns");
        var first = InstanceLock.TryAcquire(path, out _);
        Assert.NotNull(first);
        Assert.Null(InstanceLock.TryAcquire(path, out var holder));
        Assert.Equal($"pid {Environment.ProcessId}", holder);

        var waiting = InstanceLock.AcquireAsync(path, TimeProvider.System, NullLogger.Instance, TestContext.Current.CancellationToken);
        Assert.False(waiting.IsCompleted);
        first.Dispose();
        using var second = await waiting.WaitAsync(Eventually.DefaultLimit, TestContext.Current.CancellationToken);
        Assert.Null(InstanceLock.TryAcquire(path, out _));
        using var other = InstanceLock.TryAcquire(InstanceLock.PathOf(_folder.Path, "uuid", "ns2"), out _);
        Assert.NotNull(other);
    }

    [Fact]
    public async Task Waiting_can_be_cancelled()
    {
        var path = InstanceLock.PathOf(_folder.Path, "uuid", "ns");
        using var first = InstanceLock.TryAcquire(path, out _);
        using var stop = new CancellationTokenSource();
        var waiting = InstanceLock.AcquireAsync(path, TimeProvider.System, NullLogger.Instance, stop.Token);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
    }

    [Fact]
    public async Task A_killed_holder_lets_go()
    {
        var path = InstanceLock.PathOf(_folder.Path, "uuid", "ns");
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        var ready = _folder["ready"];
        using var holder = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", "exec 9>>\"$0\"; flock 9; echo $$ >\"$0\"; : >\"$1\"; exec sleep 1000", path, ready]))!;
        try
        {
            await Eventually.UntilAsync(() => File.Exists(ready), "the other process has the lock");
            Assert.Null(InstanceLock.TryAcquire(path, out var who));
            Assert.Equal($"pid {holder.Id}", who);
        }
        finally
        {
            holder.Kill();
        }
        using var mine = await InstanceLock.AcquireAsync(path, TimeProvider.System, NullLogger.Instance, TestContext.Current.CancellationToken);
    }

    [Fact]
    public void A_removed_file_is_not_the_lock_any_more()
    {
        var path = InstanceLock.PathOf(_folder.Path, "uuid", "ns");
        using var old = InstanceLock.TryAcquire(path, out _);
        File.Delete(path);
        using var fresh = InstanceLock.TryAcquire(path, out _);
        Assert.NotNull(fresh);
        Assert.Null(InstanceLock.TryAcquire(path, out _));
    }

    public void Dispose() => _folder.Dispose();
}
