using System.Globalization;

namespace Reconciler.Agent.Runtime;

/// <summary>What the kernel knows of a container when nobody else does; v1 (hybrid included) and v2.</summary>
/// <param name="hostRoot">--host-root.</param>
internal sealed class Cgroups(string hostRoot)
{
    private readonly string _mount = Path.Combine(hostRoot, "sys/fs/cgroup");

    /// <summary>/sys/fs/cgroup is one cgroup2 tree.</summary>
    public bool IsV2 => File.Exists(Path.Combine(_mount, "cgroup.controllers"));

    /// <summary>The kernel can limit swap; without, a swap limit makes runc fail.</summary>
    public bool LimitsSwap => IsV2 || File.Exists(Path.Combine(_mount, "memory/memory.memsw.limit_in_bytes"));

    /// <summary>Some process is in the cgroup or below it.</summary>
    /// <param name="path">The spec's cgroupsPath.</param>
    public bool IsPopulated(string path) => Folders(path).Any(HasProcess);

    /// <summary>The kernel killed a process of it for memory.</summary>
    /// <param name="path">The spec's cgroupsPath.</param>
    public bool OomKilled(string path)
    {
        var file = IsV2 ? $"{_mount}{path}/memory.events" : $"{_mount}/memory{path}/memory.oom_control";
        foreach (var line in Lines(file))
        {
            if (!line.StartsWith("oom_kill ", StringComparison.Ordinal)) continue;
            return long.TryParse(line.AsSpan("oom_kill ".Length), NumberStyles.Integer, CultureInfo.InvariantCulture, out var kills) && kills > 0;
        }
        return false;
    }

    private IEnumerable<string> Folders(string path)
    {
        if (IsV2) return [_mount + path];
        return Controllers().Select(controller => controller + path).Where(Directory.Exists);
    }

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
