using Reconciler.Testing;
using Reconciler.Testing.Containerd;

namespace Reconciler.Containerd.Tests.Containers;

/// <summary>What is left of a container, wherever it may be.</summary>
internal static class Leftover
{
    /// <summary>No record, task, snapshot, cgroup process, bundle, mount or shim of this id.</summary>
    public static async Task NothingAsync(ContainerdClient client, ContainerdDaemon daemon, string id)
    {
        var stop = TestContext.Current.CancellationToken;
        Assert.DoesNotContain(await client.ListContainersAsync(null, stop), container => container.Id == id);
        Assert.DoesNotContain(await client.ListTasksAsync(stop), task => task.Id == id);
        Assert.DoesNotContain(await client.ListSnapshotsAsync(stop), snapshot => snapshot.Key == id);
        // The daemon ends its shim after it has answered.
        await Eventually.UntilAsync(() => !Mentions(daemon, id).Any(), $"nothing of {id} is left: {string.Join(", ", Mentions(daemon, id))}");
    }

    private static IEnumerable<string> Mentions(ContainerdDaemon daemon, string id)
    {
        if (File.ReadLines("/proc/self/mounts").Any(line => line.Contains(id, StringComparison.Ordinal))) yield return "mount";
        if (Directory.Exists($"{daemon.Folder}/state/io.containerd.runtime.v2.task/{daemon.Namespace}/{id}")) yield return "bundle";
        if (Leftovers.ShimsOf(daemon.Address).Any(pid => Text($"/proc/{pid}/cmdline").Contains(id, StringComparison.Ordinal))) yield return "shim";
        if (Leftovers.CgroupsOf(daemon.Namespace).Any(folder => Text($"{folder}/{id}/cgroup.procs").Length > 0)) yield return "process";
    }

    /// <summary>Empty = it is gone, or went while it was read.</summary>
    private static string Text(string file)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (IOException)
        {
            return "";
        }
    }
}
