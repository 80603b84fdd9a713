namespace Reconciler.Containerd;

/// <summary>The specification to start from: what containerd's own client gives a container, without a command.</summary>
public static class DefaultSpec
{
    private static readonly string[] Capabilities =
    [
        "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP",
        "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
    ];

    /// <summary>
    /// Namespaces of its own but user and cgroup, the default capabilities, no new privileges, the usual mounts with masked and read-only
    /// paths of /proc and /sys, no devices but the usual ones, at most 1024 open files. No seccomp filter: see <see cref="DefaultSeccomp"/>.
    /// Command, environment, folder and user are left to the image.
    /// </summary>
    /// <param name="id">The container's id; names its cgroup.</param>
    /// <param name="ns">containerd namespace: the parent of its cgroup.</param>
    /// <param name="systemdCgroup">For <see cref="ContainerdClientOptions.SystemdCgroup"/>: the cgroup is a scope in system.slice.</param>
    /// <exception cref="ArgumentException"><paramref name="id"/> or <paramref name="ns"/> is not an identifier of at most 76 characters.</exception>
    public static OciSpec Create(string id, string ns = "default", bool systemdCgroup = false)
    {
        Identifiers.Require(id, nameof(id));
        Identifiers.Require(ns, nameof(ns));
        return new OciSpec
        {
            Process = new OciProcess
            {
                Args = [],
                Env = [],
                Capabilities = new OciCapabilities { Bounding = Capabilities, Effective = Capabilities, Permitted = Capabilities },
                Rlimits = [new OciRlimit { Type = "RLIMIT_NOFILE", Soft = 1024, Hard = 1024 }],
                NoNewPrivileges = true,
            },
            Root = new OciRoot(),
            Mounts = Mounts(),
            Linux = new OciLinux
            {
                CgroupsPath = systemdCgroup ? $"system.slice:{ns}:{id}" : $"/{ns}/{id}",
                Namespaces = [Namespace("pid"), Namespace("ipc"), Namespace("uts"), Namespace("mount"), Namespace("network")],
                Resources = new OciResources { Devices = [new OciDeviceRule { Allow = false, Access = "rwm" }] },
                MaskedPaths =
                [
                    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
                    "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
                ],
                ReadonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
            },
        };
    }

    private static OciMount[] Mounts() =>
    [
        Mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        Mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        Mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
        Mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
        Mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        Mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro"),
        Mount("/run", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
    ];

    private static OciNamespace Namespace(string type) => new() { Type = type };

    private static OciMount Mount(string destination, string type, string source, params string[] options) =>
        new() { Destination = destination, Type = type, Source = source, Options = options };
}
