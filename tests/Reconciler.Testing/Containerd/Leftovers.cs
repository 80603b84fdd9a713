using System.Globalization;

namespace Reconciler.Testing.Containerd;

/// <summary>Ends what a dead daemon left: its shims, the processes of its namespace's cgroups, runc's state.</summary>
public static class Leftovers
{
    public static async Task SweepAsync(string address, string ns)
    {
        foreach (var shim in ShimsOf(address)) Signals.Send(shim, Signals.Kill);
        await Eventually.UntilAsync(
            () =>
            {
                Thaw(ns);
                var alive = ProcessesOf(ns);
                foreach (var pid in alive) Signals.Send(pid, Signals.Kill);
                return alive.Count == 0;
            },
            $"the processes of namespace {ns} end");
        foreach (var folder in CgroupsOf(ns)) RemoveCgroup(folder);
        foreach (var state in new[] { $"/run/containerd/runc/{ns}", $"/run/containerd/fifo/{ns}" })
            if (Directory.Exists(state)) Directory.Delete(state, recursive: true);
    }

    /// <summary>Pids of the shims that serve the daemon at this address.</summary>
    public static List<int> ShimsOf(string address) => [.. Pids().Where(pid =>
    {
        var command = CommandLine(pid);
        return command.Contains("containerd-shim", StringComparison.Ordinal) && command.Contains(address, StringComparison.Ordinal);
    })];

    /// <summary>Live pids in any cgroup of the namespace.</summary>
    public static List<int> ProcessesOf(string ns)
    {
        var pids = new HashSet<int>();
        foreach (var folder in CgroupsOf(ns))
            foreach (var file in Files(folder, "cgroup.procs"))
                foreach (var line in Lines(file))
                    if (int.TryParse(line, CultureInfo.InvariantCulture, out var pid) && !IsZombie(pid)) pids.Add(pid);
        return [.. pids];
    }

    public static IEnumerable<string> CgroupsOf(string ns)
    {
        const string root = "/sys/fs/cgroup";
        if (!Directory.Exists(root)) yield break;
        if (Directory.Exists($"{root}/{ns}")) yield return $"{root}/{ns}";
        foreach (var controller in Directory.GetDirectories(root))
            if (Directory.Exists($"{controller}/{ns}") && !new FileInfo(controller).Attributes.HasFlag(FileAttributes.ReparsePoint))
                yield return $"{controller}/{ns}";
    }

    /// <summary>A runc that was killed while it killed leaves its container frozen, and nothing frozen dies (cgroup v1).</summary>
    private static void Thaw(string ns)
    {
        var frozen = CgroupsOf(ns).SelectMany(folder => Files(folder, "freezer.state"));
        foreach (var file in frozen.Where(file => Lines(file) is not ["THAWED"]))
        {
            try
            {
                File.WriteAllText(file, "THAWED");
            }
            catch (IOException)
            {
                // it is the root of a controller, or it went meanwhile
            }
        }
    }

    private static IEnumerable<int> Pids() => Directory.GetDirectories("/proc")
        .Select(path => int.TryParse(Path.GetFileName(path), CultureInfo.InvariantCulture, out var pid) ? pid : 0)
        .Where(pid => pid > 0);

    /// <summary>Its arguments, separated by spaces; empty = it ended.</summary>
    public static string CommandLine(int pid) => string.Join(' ', Lines($"/proc/{pid}/cmdline")).Replace('\0', ' ');

    private static bool IsZombie(int pid)
    {
        var stat = string.Join(' ', Lines($"/proc/{pid}/stat"));
        return stat.Length == 0 || stat.LastIndexOf(") Z", StringComparison.Ordinal) > 0;
    }

    private static IEnumerable<string> Files(string folder, string name)
    {
        try
        {
            return Directory.GetFiles(folder, name, SearchOption.AllDirectories);
        }
        catch (DirectoryNotFoundException)
        {
            return [];
        }
    }

    private static string[] Lines(string file)
    {
        try
        {
            return File.ReadAllLines(file);
        }
        catch (IOException)
        {
            return []; // it ended meanwhile
        }
        catch (UnauthorizedAccessException)
        {
            return [];
        }
    }

    private static void RemoveCgroup(string folder)
    {
        try
        {
            foreach (var child in Directory.GetDirectories(folder)) RemoveCgroup(child);
            Directory.Delete(folder);
        }
        catch (IOException)
        {
            // a zombie can hold an empty cgroup for a while; it goes with the machine
        }
    }
}
