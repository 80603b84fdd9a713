namespace Reconciler.Containerd.Tests.Faults;

/// <summary>Specs that no runtime takes, each with words of the rule.</summary>
internal static class BadSpecs
{
    public static IEnumerable<(string Rule, OciProcess Process)> Processes =>
    [
        ("process.args[0]", new OciProcess { Args = ["", "x"] }), ("process.args[1] is null", new OciProcess { Args = ["x", null!] }), ("NUL", new OciProcess { Args = ["x\0"] }),
        ("KEY=value", With(p => p.Env = ["A"])), ("KEY=value", With(p => p.Env = ["=A"])), ("process.env[0] is null", With(p => p.Env = [null!])), ("NUL", With(p => p.Env = ["A=\0"])),
        ("absolute path", With(p => p.Cwd = "tmp")), ("oomScoreAdj", With(p => p.OomScoreAdj = 1001)),
        ("RLIMIT_NOFILE", With(p => p.Rlimits = [new OciRlimit { Type = "NOFILE" }])), ("soft", With(p => p.Rlimits = [new OciRlimit { Type = "RLIMIT_NOFILE", Soft = 2, Hard = 1 }])),
        ("twice", With(p => p.Rlimits = [new OciRlimit { Type = "RLIMIT_CORE" }, new OciRlimit { Type = "RLIMIT_CORE" }])),
        ("CAP_CHOWN", With(p => p.Capabilities = new OciCapabilities { Bounding = ["CHOWN"] })),
        ("capabilities.ambient[0] is null", With(p => p.Capabilities = new OciCapabilities { Ambient = [null!] })),
    ];

    public static IEnumerable<(string Rule, OciResources Resources)> Resources =>
    [
        ("memory.limit", new OciResources { Memory = new OciMemory { Limit = -2 } }), ("memory.swap", new OciResources { Memory = new OciMemory { Limit = 2 << 20, Swap = 1 << 20 } }),
        ("swappiness", new OciResources { Memory = new OciMemory { Swappiness = 201 } }), ("cpu.quota", new OciResources { Cpu = new OciCpu { Quota = -2 } }),
        ("cpu.period", new OciResources { Cpu = new OciCpu { Period = 999 } }), ("cpu.period", new OciResources { Cpu = new OciCpu { Period = 1_000_001 } }),
        ("ranges", new OciResources { Cpu = new OciCpu { Cpus = "a" } }), ("ranges", new OciResources { Cpu = new OciCpu { Mems = "0;1" } }),
        ("unified", new OciResources { Unified = new Dictionary<string, string> { [""] = "x" } }), ("unified", new OciResources { Unified = new Dictionary<string, string> { ["memory.high"] = null! } }),
    ];

    public static IEnumerable<(string Rule, OciSpec Spec)> All =>
    [
        Spec("ociVersion", s => s.OciVersion = ""), Spec("root.path", s => s.Root = new OciRoot { Path = "" }), Spec("uts namespace", s => (s.Hostname, s.Linux!.Namespaces) = ("x", [])),
        Spec("uts namespace", s => (s.Domainname, s.Linux) = ("x", null)), Spec("mounts[0] is null", s => s.Mounts = [null!]), Spec("mounts[0].destination", s => s.Mounts = [new OciMount()]),
        Spec("absolute path", s => s.Mounts = [new OciMount { Destination = "proc" }]), Spec("options[0]", s => s.Mounts = [new OciMount { Destination = "/x", Options = [""] }]),
        Spec("annotations", s => s.Annotations = new Dictionary<string, string> { ["x"] = null! }),
        Spec("hooks.poststop[0].path", s => s.Hooks = new OciHooks { Poststop = [new OciHook()] }), Spec("timeout", s => s.Hooks = new OciHooks { Prestart = [new OciHook { Path = "/x", Timeout = 0 }] }),
        Spec("linux.namespaces[0].type", s => s.Linux!.Namespaces = [new OciNamespace { Type = "net" }]), Spec("absolute path", s => s.Linux!.Namespaces = [new OciNamespace { Type = "pid", Path = "x" }]),
        Spec("twice", s => s.Linux!.Namespaces = [new OciNamespace { Type = "pid" }, new OciNamespace { Type = "pid" }]),
        Spec("linux.devices[0].path", s => s.Linux!.Devices = [new OciDevice { Type = "c" }]), Spec("linux.devices[0].type", s => s.Linux!.Devices = [new OciDevice { Path = "/dev/x", Type = "x" }]),
        Spec("sysctl", s => s.Linux!.Sysctl = new Dictionary<string, string> { [""] = "x" }), Spec("maskedPaths[0]", s => s.Linux!.MaskedPaths = ["proc"]),
        Spec("readonlyPaths[0]", s => s.Linux!.ReadonlyPaths = [""]), Spec("cgroupsPath", s => s.Linux!.CgroupsPath = "/\0"),
        Spec("devices[0].type", s => s.Linux!.Resources = new OciResources { Devices = [new OciDeviceRule { Type = "x" }] }),
        Spec("devices[0].access", s => s.Linux!.Resources = new OciResources { Devices = [new OciDeviceRule { Access = "x" }] }),
        Spec("defaultAction", s => s.Linux!.Seccomp = new OciSeccomp()),
        Spec("syscalls[0].names", s => s.Linux!.Seccomp = new OciSeccomp { DefaultAction = "SCMP_ACT_ALLOW", Syscalls = [new OciSyscall { Action = "SCMP_ACT_ERRNO" }] }),
        Spec("syscalls[0].action", s => s.Linux!.Seccomp = new OciSeccomp { DefaultAction = "SCMP_ACT_ALLOW", Syscalls = [new OciSyscall { Names = ["read"] }] }),
        .. Processes.Select(bad => Spec(bad.Rule, s => s.Process = bad.Process)), .. Resources.Select(bad => Spec(bad.Rule, s => s.Linux!.Resources = bad.Resources)),
    ];

    private static (string, OciSpec) Spec(string rule, Action<OciSpec> spoil)
    {
        var spec = DefaultSpec.Create("x");
        spoil(spec);
        return (rule, spec);
    }

    private static OciProcess With(Action<OciProcess> spoil)
    {
        var process = new OciProcess { Args = ["true"] };
        spoil(process);
        return process;
    }
}
