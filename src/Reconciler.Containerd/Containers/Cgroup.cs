using System.Globalization;
using System.Runtime.InteropServices;

namespace Reconciler.Containerd;

/// <summary>The processes of one container as the kernel knows them, on cgroup v1 (hybrid included) and v2.</summary>
/// <param name="hostRoot">Where the host's root file system is seen from here.</param>
/// <param name="cgroupsPath">As in the spec: a path, or <c>slice:prefix:name</c>.</param>
internal sealed partial class Cgroup(string hostRoot, string cgroupsPath)
{
    private readonly string _mount = Path.Combine(hostRoot, "sys/fs/cgroup");
    private readonly string _path = Resolve(cgroupsPath);

    /// <summary>The kernel's groups can be read from here; else nothing is known of processes.</summary>
    public bool IsVisible => IsV2 || Controllers().Any();

    private bool IsV2 => File.Exists(Path.Combine(_mount, "cgroup.controllers"));

    /// <summary>Live processes in it or below it; 0 stands for those that our pid namespace does not show.</summary>
    public IReadOnlyCollection<int> Processes()
    {
        var pids = new HashSet<int>();
        foreach (var folder in Folders()) Collect(folder, pids);
        return pids;
    }

    /// <summary>Lets what is frozen go on.</summary>
    public void Thaw()
    {
        foreach (var folder in Folders())
        {
            TryWrite(Path.Combine(folder, "freezer.state"), "THAWED");
            TryWrite(Path.Combine(folder, "cgroup.freeze"), "0");
        }
    }

    /// <summary>SIGKILL to every process in it. Frozen ones are thawed, or they would not die on v1.</summary>
    public void Kill()
    {
        Thaw();
        foreach (var folder in Folders()) TryWrite(Path.Combine(folder, "cgroup.kill"), "1");
        foreach (var pid in Processes().Where(pid => pid > 0)) _ = SendSignal(pid, Signals.Kill);
    }

    private IEnumerable<string> Folders()
    {
        if (_path == "/") return []; // never the host's own processes
        var candidates = IsV2 ? [_mount + _path] : Controllers().Select(controller => controller + _path);
        return candidates.Where(Directory.Exists);
    }

    private IEnumerable<string> Controllers() =>
        Directory.Exists(_mount) ? Directory.EnumerateDirectories(_mount).Where(folder => File.Exists(Path.Combine(folder, "cgroup.procs"))) : [];

    private static void Collect(string folder, HashSet<int> pids)
    {
        try
        {
            foreach (var line in File.ReadLines(Path.Combine(folder, "cgroup.procs")))
                if (int.TryParse(line, CultureInfo.InvariantCulture, out var pid) && pid >= 0 && IsAlive(pid)) pids.Add(pid);
            foreach (var child in Directory.EnumerateDirectories(folder)) Collect(child, pids);
        }
        catch (IOException)
        {
            // it went meanwhile: nothing is in it
        }
    }

    /// <summary>Ended processes that nobody reaped may still be listed.</summary>
    private static bool IsAlive(int pid)
    {
        if (pid == 0) return true;
        try
        {
            var stat = File.ReadAllText($"/proc/{pid}/stat");
            return stat.AsSpan(stat.LastIndexOf(')') + 1).TrimStart() is [not ('Z' or 'X'), ..];
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static void TryWrite(string file, string text)
    {
        if (!File.Exists(file)) return;
        try
        {
            File.WriteAllText(file, text);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // it went meanwhile, or the kernel has no such control: the signal follows
        }
    }

    private static string Resolve(string path)
    {
        var parts = path.Split(':');
        if (parts.Length != 3) return Path.GetFullPath("/" + path.TrimStart('/'));
        var slice = parts[0].Length == 0 ? "system.slice" : parts[0];
        var unit = parts[2].EndsWith(".slice", StringComparison.Ordinal) ? parts[2] : $"{parts[1]}-{parts[2]}.scope";
        return $"{Slice(slice)}/{unit}";
    }

    /// <summary><c>a-b.slice</c> lies in <c>a.slice</c>.</summary>
    private static string Slice(string name)
    {
        if (name == "-.slice") return "";
        if (!name.EndsWith(".slice", StringComparison.Ordinal)) return "/" + name;
        var names = name[..^".slice".Length].Split('-');
        return string.Concat(Enumerable.Range(1, names.Length).Select(count => $"/{string.Join('-', names.Take(count))}.slice"));
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int SendSignal(int pid, int signal);
}
