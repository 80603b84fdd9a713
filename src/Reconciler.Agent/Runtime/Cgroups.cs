using System.Globalization;

namespace Reconciler.Agent.Runtime;

/// <summary>What the kernel knows of a container when nobody else does; v1 (hybrid included) and v2.</summary>
/// <param name="hostRoot">--host-root.</param>
/// <param name="containerdNamespace">containerd's namespace, part of the name of every cgroup of ours.</param>
internal sealed class Cgroups(string hostRoot, string containerdNamespace)
{
    /// <summary>Of the cgroups that systemd makes.</summary>
    public const string Slice = "reconciler.slice";

    private readonly string _mount = Path.Combine(hostRoot, "sys/fs/cgroup");

    /// <summary>/sys/fs/cgroup is one cgroup2 tree.</summary>
    public bool IsV2 => File.Exists(Path.Combine(_mount, "cgroup.controllers"));

    /// <summary>The kernel can limit swap; without, a swap limit makes runc fail.</summary>
    public bool LimitsSwap => IsV2 || File.Exists(Path.Combine(_mount, "memory/memory.memsw.limit_in_bytes"));

    /// <summary>Some process is in the container's cgroup or below it.</summary>
    public bool IsPopulated(string id) => Paths(id).SelectMany(Folders).Any(HasProcess);

    /// <summary>The kernel killed a process of it for memory.</summary>
    public bool OomKilled(string id) => Paths(id).Any(path =>
        Lines(IsV2 ? $"{_mount}{path}/memory.events" : $"{_mount}/memory{path}/memory.oom_control").Any(IsOomKill));

    /// <summary>Either way of making them: the setting may have changed while the container ran.</summary>
    private IEnumerable<string> Paths(string id) => [$"/{containerdNamespace}/{id}", $"/{Slice}/{containerdNamespace}-{id}.scope"];

    private IEnumerable<string> Folders(string path) =>
        (IsV2 ? [_mount + path] : Controllers().Select(controller => controller + path)).Where(Directory.Exists);

    private static bool IsOomKill(string line) =>
        line.StartsWith("oom_kill ", StringComparison.Ordinal)
        && long.TryParse(line.AsSpan("oom_kill ".Length), NumberStyles.Integer, CultureInfo.InvariantCulture, out var kills) && kills > 0;

    private IEnumerable<string> Controllers() => Directory.Exists(_mount) ? Directory.EnumerateDirectories(_mount) : [];

    private static bool HasProcess(string folder)
    {
        if (Lines(Path.Combine(folder, "cgroup.procs")).Length > 0) return true;
        try
        {
            return Directory.EnumerateDirectories(folder).Any(HasProcess);
        }
        catch (DirectoryNotFoundException)
        {
            return false;
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
            return []; // it went meanwhile
        }
    }
}
