using System.Globalization;
using Reconciler.Containerd;
using Reconciler.Core.Model;

namespace Reconciler.Agent.Runtime;

/// <summary>User, capabilities, seccomp and what a privileged container gets on top.</summary>
internal sealed class SpecSecurity(HostRoot host)
{
    /// <summary>Folders of /dev that a container has of its own.</summary>
    private static readonly string[] OwnDeviceFolders = ["pts", "shm", "fd", "mqueue"];

    /// <summary>Linux capabilities by number.</summary>
    private static readonly string[] Names =
    [
        "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
        "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT",
        "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE",
        "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ",
        "PERFMON", "BPF", "CHECKPOINT_RESTORE",
    ];

    public void Apply(OciSpec spec, SecuritySettings settings)
    {
        var process = spec.Process!;
        var capabilities = settings.Privileged ? All() : Chosen(process.Capabilities?.Bounding ?? [], settings);
        process.Capabilities = new OciCapabilities { Bounding = capabilities, Effective = capabilities, Permitted = capabilities, Inheritable = [], Ambient = [] };
        process.NoNewPrivileges = settings.AllowPrivilegeEscalation == false;
        spec.Linux!.Seccomp = settings.Privileged || settings.SeccompUnconfined ? null : DefaultSeccomp.Create(capabilities);
        if (settings.Privileged) Privilege(spec);
    }

    /// <summary>runc cannot grant what we do not have, so "all" ends there.</summary>
    private static List<string> All()
    {
        const string effective = "CapEff:";
        var line = File.ReadLines("/proc/self/status").First(text => text.StartsWith(effective, StringComparison.Ordinal));
        var mask = ulong.Parse(line.AsSpan(effective.Length).Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        return [.. Names.Where((_, number) => (mask >> number & 1) != 0).Select(name => "CAP_" + name)];
    }

    /// <summary>As Kubernetes': added ones win over dropped ones; ALL stands for every one.</summary>
    private static List<string> Chosen(IReadOnlyList<string> defaults, SecuritySettings settings)
    {
        var add = settings.AddCapabilities.Select(Full).ToList();
        var drop = settings.DropCapabilities.Select(Full).ToHashSet(StringComparer.Ordinal);
        var start = add.Contains("CAP_ALL") ? All() : [.. defaults];
        if (drop.Contains("CAP_ALL")) start = add.Contains("CAP_ALL") ? start : [];
        return [.. start.Where(name => !drop.Contains(name)).Union(add.Where(name => name != "CAP_ALL"))];
    }

    private static string Full(string name) => name.StartsWith("CAP_", StringComparison.Ordinal) ? name : "CAP_" + name;

    private void Privilege(OciSpec spec)
    {
        var linux = spec.Linux!;
        linux.MaskedPaths = [];
        linux.ReadonlyPaths = [];
        linux.Resources ??= new OciResources();
        linux.Resources.Devices = [new OciDeviceRule { Allow = true, Access = "rwm" }];
        linux.Devices = [.. Devices("/dev")];
        foreach (var mount in spec.Mounts!.Where(mount => mount.Type is "sysfs" or "cgroup"))
            mount.Options = [.. mount.Options!.Where(option => option != "ro"), "rw"];
    }

    /// <summary>Every device node of the host.</summary>
    private IEnumerable<OciDevice> Devices(string folder)
    {
        foreach (var entry in Directory.EnumerateFileSystemEntries(host.Resolve(folder)))
        {
            var name = Path.GetFileName(entry);
            var path = $"{folder}/{name}";
            var file = HostRoot.LookAt(entry);
            if (file.Kind == HostFileKind.Directory && (folder != "/dev" || !OwnDeviceFolders.Contains(name)))
            {
                foreach (var device in Devices(path)) yield return device;
            }
            if (file.Kind is not (HostFileKind.CharDevice or HostFileKind.BlockDevice) || path is "/dev/console" or "/dev/ptmx") continue;
            yield return new OciDevice
            {
                Path = path,
                Type = file.Kind == HostFileKind.CharDevice ? "c" : "b",
                Major = file.Node.Major,
                Minor = file.Node.Minor,
                FileMode = file.Mode,
                Uid = file.Uid,
                Gid = file.Gid,
            };
        }
    }
}
