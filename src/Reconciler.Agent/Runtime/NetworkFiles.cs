using System.Text;

namespace Reconciler.Agent.Runtime;

/// <summary>
/// /etc/hosts, /etc/hostname and, on the host's network, /etc/resolv.conf of a workload. They are copies that are rewritten in place: a bind
/// mount of the host's own file would stay at the old inode once someone renames a new one over it.
/// </summary>
internal sealed class NetworkFiles(HostRoot host, WorkloadFolders folders)
{
    private const string Loopback = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

    private const UnixFileMode Readable = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead;

    private readonly Lock _gate = new();
    private readonly Dictionary<string, HostFile> _seen = new(StringComparer.Ordinal);

    /// <summary>The name a container goes by.</summary>
    public string HostName(string workload, bool hostNetwork) =>
        hostNetwork ? Read("/proc/sys/kernel/hostname")?.Trim() is { Length: > 0 } name ? name : Environment.MachineName : workload;

    /// <summary>Writes the files of a workload as they are to be now.</summary>
    /// <returns>Target in the container, file on the host.</returns>
    public IReadOnlyList<(string Target, string File)> Write(string ns, string workload, bool hostNetwork)
    {
        var folder = folders.Network(ns, workload);
        var name = HostName(workload, hostNetwork);
        var files = new List<(string, string)> { ("/etc/hosts", $"{folder}/hosts"), ("/etc/hostname", $"{folder}/hostname") };
        lock (_gate)
        {
            Rewrite($"{folder}/hostname", name + "\n");
            Rewrite($"{folder}/hosts", (hostNetwork ? Read("/etc/hosts") : null) ?? $"{Loopback}127.0.1.1\t{name}\n");
            if (hostNetwork)
            {
                Rewrite($"{folder}/resolv.conf", Read("/etc/resolv.conf") ?? "");
                files.Add(("/etc/resolv.conf", $"{folder}/resolv.conf"));
            }
            else
            {
                File.Delete($"{folder}/resolv.conf");
            }
        }
        return files;
    }

    /// <summary>Brings the copies up to date after the host's resolv.conf or hosts changed. Cheap when they did not.</summary>
    public void Follow()
    {
        lock (_gate)
        {
            var changed = Changed("/etc/resolv.conf") | Changed("/etc/hosts");
            if (!changed) return;
            foreach (var folder in folders.NetworkFolders())
            {
                if (!File.Exists($"{folder}/resolv.conf")) continue; // not on the host's network
                if (Read("/etc/resolv.conf") is { } resolver) Rewrite($"{folder}/resolv.conf", resolver);
                if (Read("/etc/hosts") is { } hosts) Rewrite($"{folder}/hosts", hosts);
            }
        }
    }

    private bool Changed(string path)
    {
        var now = host.Look(path);
        var before = _seen.GetValueOrDefault(path);
        _seen[path] = now;
        return now != before;
    }

    private string? Read(string path)
    {
        try
        {
            return File.ReadAllText(host.Resolve(path));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>The inode stays: containers have it mounted.</summary>
    private static void Rewrite(string file, string content)
    {
        var bytes = Encoding.UTF8.GetBytes(content);
        if (File.Exists(file) && File.ReadAllBytes(file).AsSpan().SequenceEqual(bytes)) return;
        using var stream = new FileStream(file, FileMode.OpenOrCreate, FileAccess.Write, FileShare.ReadWrite);
        stream.Write(bytes);
        stream.SetLength(bytes.Length);
        File.SetUnixFileMode(stream.SafeFileHandle, Readable);
    }
}
