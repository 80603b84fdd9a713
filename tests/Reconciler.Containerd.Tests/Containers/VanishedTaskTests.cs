using System.Diagnostics;
using System.Globalization;
using Reconciler.Testing;

namespace Reconciler.Containerd.Tests.Containers;

/// <summary>What is left when containerd has no task any more and the kernel still has processes.</summary>
public sealed class VanishedTaskTests(SharedDaemon shared)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_task_delete_kills_what_does_not_end()
    {
        await using var client = await shared.ConnectAsync();
        var id = await RecordAsync();
        using var process = StartIn(id);

        Assert.Null(await client.DeleteTaskAsync(id, Stop));

        Assert.False(LiveProcess.Is(process.Id));
        await client.DeleteContainerAsync(id, Stop);
    }

    [Fact]
    public async Task A_destroy_deletes_nothing_before_they_are_dead()
    {
        await using var client = await shared.ConnectAsync();
        var id = await RecordAsync();
        using var process = StartIn(id);
        var aliveBefore = true;
        var options = new StopOptions
        {
            BeforeDelete = (_, _) =>
            {
                aliveBefore = LiveProcess.Is(process.Id);
                return Task.CompletedTask;
            },
        };

        var exit = await client.DestroyContainerAsync(id, options, Stop);

        Assert.Null(exit.ExitCode);
        Assert.False(aliveBefore);
        Assert.DoesNotContain(await client.ListContainersAsync(null, Stop), container => container.Id == id);
    }

    [Fact]
    public async Task A_wait_for_the_processes_can_be_cancelled_and_deletes_nothing()
    {
        await using var client = await shared.ConnectAsync();
        var id = await RecordAsync();
        using var process = StartIn(id);
        using var cancel = new CancellationTokenSource();

        var deleting = client.DeleteContainerAsync(id, cancel.Token);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => deleting);

        Assert.True(LiveProcess.Is(process.Id));
        Assert.Equal(id, (await client.GetContainerAsync(id, Stop)).Id);
        process.Kill();
        await client.DeleteContainerAsync(id, Stop);
    }

    private async Task<string> RecordAsync()
    {
        var id = SharedDaemon.NewId();
        await shared.Daemon.CtrAsync("containers", "create", SharedDaemon.Busybox, id, "sleep", "1000");
        return id;
    }

    /// <summary>A process in the container's cgroup, as a shim leaves it that died before the daemon looked.</summary>
    private Process StartIn(string id)
    {
        const string root = "/sys/fs/cgroup";
        var parent = File.Exists($"{root}/cgroup.controllers") ? root : $"{root}/pids";
        var folder = $"{parent}/{shared.Daemon.Namespace}/{id}";
        Directory.CreateDirectory(folder);
        var process = Process.Start("sleep", "1000");
        File.WriteAllText($"{folder}/cgroup.procs", process.Id.ToString(CultureInfo.InvariantCulture));
        return process;
    }
}
