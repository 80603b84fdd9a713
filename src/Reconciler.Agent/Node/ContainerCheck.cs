using System.Globalization;

namespace Reconciler.Agent.Node;

/// <summary>Whether this process lives in a container, where a containerd of its own would die with it and mount where the host cannot see.</summary>
internal static class ContainerCheck
{
    /// <summary>PROC_PID_INIT_INO: the number the kernel gives the first PID namespace, and no other.</summary>
    private const string FirstPidNamespace = "pid:[4026531836]";

    /// <summary>Why a private containerd cannot run here; null = it can.</summary>
    /// <param name="hostRoot">Another root than <c>/</c> says that the host is somewhere else.</param>
    /// <param name="proc">Where proc is mounted.</param>
    public static string? Refusal(string hostRoot, string proc = "/proc")
    {
        if (Path.GetFullPath(hostRoot) != "/") return $"--host-root is {hostRoot}: the host is not where this process runs";
        // Not by /.dockerenv or cgroup names: virtual machines made from container images have the one, cgroup namespaces hide the other.
        if (LinkOf(proc + "/self/ns/pid") is { } space && space != FirstPidNamespace) return "it runs in a container (a PID namespace of its own)";
        var root = Libc.Status("/");
        try
        {
            if (Libc.Status(proc + "/1/root") is { } first) return first.Id == root?.Id ? null : "it runs in a container (another root than the host's first process)";
        }
        catch (IOException)
        {
            // hidden from us: the kind of root has to tell
        }
        return RootIsOverlay(proc) ? "it runs in a container (its root is an overlay)" : null;
    }

    private static string? LinkOf(string path)
    {
        try
        {
            return new FileInfo(path).LinkTarget;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static bool RootIsOverlay(string proc)
    {
        foreach (var line in File.ReadLines(proc + "/self/mountinfo"))
        {
            var fields = line.Split(' ');
            var separator = Array.IndexOf(fields, "-");
            if (fields.Length > 4 && fields[4] == "/" && separator > 0 && separator + 1 < fields.Length) return fields[separator + 1] == "overlay";
        }
        return false;
    }
}

/// <summary>A process named so that another one with its pid, or one of another boot, is not taken for it.</summary>
/// <param name="Pid">Process id.</param>
/// <param name="StartTime">Clock ticks after boot, as in /proc/PID/stat.</param>
/// <param name="Boot">Kernel's boot id.</param>
internal sealed record ProcessIdentity(int Pid, long StartTime, string Boot)
{
    public static string CurrentBoot { get; } = File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();

    /// <summary>Reads <c>PID STARTTIME BOOT</c>; null = no such file, or not written whole.</summary>
    public static ProcessIdentity? Read(string path)
    {
        try
        {
            var fields = File.ReadAllText(path).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
            return fields.Length == 3
                && int.TryParse(fields[0], NumberStyles.None, CultureInfo.InvariantCulture, out var pid)
                && long.TryParse(fields[1], NumberStyles.None, CultureInfo.InvariantCulture, out var start)
                ? new ProcessIdentity(pid, start, fields[2])
                : null;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    /// <summary>It runs; a zombie does not.</summary>
    public bool IsAlive()
    {
        if (Boot != CurrentBoot) return false;
        try
        {
            var stat = File.ReadAllText($"/proc/{Pid}/stat");
            var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' '); // from field 3, the state
            return fields[0] is not ("Z" or "X") && fields[19] == StartTime.ToString(CultureInfo.InvariantCulture);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
