using System.Buffers;
using System.Diagnostics.CodeAnalysis;

namespace Reconciler.Containerd;

/// <summary>What no OCI runtime takes, told before anything is sent.</summary>
internal static class SpecRules
{
    private const int CharactersOfRlimit = 7;
    private static readonly SearchValues<char> ListCharacters = SearchValues.Create("0123456789,-");
    private static readonly string[] Namespaces = ["pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"];

    /// <exception cref="ArgumentException">A member breaks a rule; the message names both.</exception>
    public static void Require(OciSpec spec)
    {
        if (string.IsNullOrEmpty(spec.OciVersion)) throw Broken("ociVersion", "must not be empty");
        if (spec.Root is { } root) Text(root.Path, "root.path");
        if (spec.Process is { } process) Require(process);
        Each(spec.Mounts, "mounts", Mount);
        Each(spec.Annotations, "annotations");
        if (spec.Hooks is { } hooks) Hooks(hooks);
        if (spec.Linux is { } linux) Linux(linux);
        var own = spec.Linux?.Namespaces is { } namespaces && namespaces.Any(ns => ns.Type == "uts");
        if (!own && !string.IsNullOrEmpty(spec.Hostname)) throw Broken("hostname", "needs a uts namespace of the container's own");
        if (!own && !string.IsNullOrEmpty(spec.Domainname)) throw Broken("domainname", "needs a uts namespace of the container's own");
    }

    /// <exception cref="ArgumentException">The spec names no cgroup that systemd could make.</exception>
    public static void RequireScope(OciSpec spec)
    {
        var parts = (spec.Linux?.CgroupsPath ?? "").Split(':');
        if (parts.Length != 3 || parts[2].Length == 0 || (parts[0].Length > 0 && !parts[0].EndsWith(".slice", StringComparison.Ordinal)))
            throw Broken("linux.cgroupsPath", $"must be slice:prefix:name for a systemd cgroup, e.g. system.slice:web:1, not \"{spec.Linux?.CgroupsPath}\"");
    }

    /// <exception cref="ArgumentException">A member breaks a rule; the message names both.</exception>
    public static void Require(OciProcess process)
    {
        Each(process.Args, "process.args", Line);
        if (process.Args is ["", ..]) throw Broken("process.args[0]", "must name a program");
        Each(process.Env, "process.env", (variable, name) =>
        {
            Text(variable, name);
            if (variable.IndexOf('=', StringComparison.Ordinal) < 1) throw Broken(name, $"must be KEY=value, not \"{variable}\"");
        });
        if (process.Cwd is { Length: > 0 } cwd) Absolute(cwd, "process.cwd");
        if (process.OomScoreAdj is < -1000 or > 1000) throw Broken("process.oomScoreAdj", "must be -1000 to 1000");
        Each(process.Rlimits, "process.rlimits", Rlimit);
        if (process.Rlimits is { } limits && limits.DistinctBy(limit => limit.Type).Count() < limits.Count) throw Broken("process.rlimits", "names a limit twice");
        if (process.Capabilities is not { } sets) return;
        Each(sets.Bounding, "process.capabilities.bounding", Capability);
        Each(sets.Effective, "process.capabilities.effective", Capability);
        Each(sets.Inheritable, "process.capabilities.inheritable", Capability);
        Each(sets.Permitted, "process.capabilities.permitted", Capability);
        Each(sets.Ambient, "process.capabilities.ambient", Capability);
    }

    /// <exception cref="ArgumentException">A member breaks a rule; the message names both.</exception>
    public static void Require(OciResources resources)
    {
        Each(resources.Devices, "resources.devices", (rule, name) =>
        {
            if (rule.Type is not (null or "a" or "b" or "c" or "p" or "u")) throw Broken(name + ".type", "must be a, b, c, p or u");
            if (rule.Access is { } access && access.AsSpan().ContainsAnyExcept("rwm")) throw Broken(name + ".access", "must be of r, w and m");
        });
        Each(resources.Unified, "resources.unified");
        if (resources.Memory is { } memory) Memory(memory);
        if (resources.Cpu is not { } cpu) return;
        if (cpu.Quota is < -1) throw Broken("resources.cpu.quota", "must be microseconds, or -1 for no limit");
        if (cpu.Period is > 0 and (< 1000 or > 1_000_000)) throw Broken("resources.cpu.period", "must be 1,000 to 1,000,000 microseconds");
        List(cpu.Cpus, "resources.cpu.cpus");
        List(cpu.Mems, "resources.cpu.mems");
    }

    private static void Memory(OciMemory memory)
    {
        foreach (var (value, name) in new[] { (memory.Limit, "limit"), (memory.Reservation, "reservation"), (memory.Swap, "swap") })
            if (value is < -1) throw Broken($"resources.memory.{name}", "must be bytes, or -1 for no limit");
        if (memory is { Limit: > 0, Swap: > 0 } && memory.Swap < memory.Limit) throw Broken("resources.memory.swap", "holds the memory too: it must not be below the limit");
        if (memory.Swappiness is > 200) throw Broken("resources.memory.swappiness", "must be 0 to 200");
    }

    private static void Linux(OciLinux linux)
    {
        Each(linux.Namespaces, "linux.namespaces", (ns, name) =>
        {
            if (!Namespaces.Contains(ns.Type)) throw Broken(name + ".type", $"must be one of {string.Join(", ", Namespaces)}, not \"{ns.Type}\"");
            if (ns.Path is { Length: > 0 } path) Absolute(path, name + ".path");
        });
        if (linux.Namespaces is { } all && all.DistinctBy(ns => ns.Type).Count() < all.Count) throw Broken("linux.namespaces", "names a type twice");
        Each(linux.Devices, "linux.devices", (device, name) =>
        {
            Absolute(device.Path, name + ".path");
            if (device.Type is not ("b" or "c" or "p" or "u")) throw Broken(name + ".type", "must be b, c, p or u");
        });
        Each(linux.Sysctl, "linux.sysctl");
        Each(linux.MaskedPaths, "linux.maskedPaths", Absolute);
        Each(linux.ReadonlyPaths, "linux.readonlyPaths", Absolute);
        if (linux.CgroupsPath is { Length: > 0 } cgroup) Text(cgroup, "linux.cgroupsPath");
        if (linux.Resources is { } resources) Require(resources);
        if (linux.Seccomp is not { } seccomp) return;
        Text(seccomp.DefaultAction, "linux.seccomp.defaultAction");
        Each(seccomp.Syscalls, "linux.seccomp.syscalls", (rule, name) =>
        {
            Text(rule.Action, name + ".action");
            Each(rule.Names, name + ".names", Text);
            if (rule.Names is not { Count: > 0 }) throw Broken(name + ".names", "must not be empty");
        });
    }

    private static void Hooks(OciHooks hooks)
    {
        Each(hooks.Prestart, "hooks.prestart", Hook);
        Each(hooks.CreateRuntime, "hooks.createRuntime", Hook);
        Each(hooks.CreateContainer, "hooks.createContainer", Hook);
        Each(hooks.StartContainer, "hooks.startContainer", Hook);
        Each(hooks.Poststart, "hooks.poststart", Hook);
        Each(hooks.Poststop, "hooks.poststop", Hook);
    }

    private static void Hook(OciHook hook, string name)
    {
        Absolute(hook.Path, name + ".path");
        if (hook.Timeout is <= 0) throw Broken(name + ".timeout", "must be above zero");
        Each(hook.Args, name + ".args", Line);
        Each(hook.Env, name + ".env", Text);
    }

    private static void Mount(OciMount mount, string name)
    {
        Absolute(mount.Destination, name + ".destination");
        Each(mount.Options, name + ".options", Text);
    }

    private static void Rlimit(OciRlimit limit, string name)
    {
        if (limit.Type is null || !limit.Type.StartsWith("RLIMIT_", StringComparison.Ordinal) || limit.Type.Length == CharactersOfRlimit)
            throw Broken(name + ".type", $"must be as RLIMIT_NOFILE, not \"{limit.Type}\"");
        if (limit.Soft > limit.Hard) throw Broken(name, "has a soft value above the hard one");
    }

    private static void Capability(string capability, string name)
    {
        Text(capability, name);
        if (!capability.StartsWith("CAP_", StringComparison.Ordinal) || capability.Length == "CAP_".Length)
            throw Broken(name, $"must be as CAP_CHOWN, not \"{capability}\"");
    }

    private static void List(string? numbers, string name)
    {
        if (numbers is not null && numbers.AsSpan().ContainsAnyExcept(ListCharacters)) throw Broken(name, $"must be numbers and ranges as 0-3,7, not \"{numbers}\"");
    }

    private static void Absolute(string path, string name)
    {
        Text(path, name);
        if (path[0] != '/') throw Broken(name, $"must be an absolute path, not \"{path}\"");
    }

    private static void Text([NotNull] string? text, string name)
    {
        if (string.IsNullOrEmpty(text)) throw Broken(name, "must not be empty");
        Line(text, name);
    }

    private static void Line(string text, string name)
    {
        if (text.Contains('\0', StringComparison.Ordinal)) throw Broken(name, "must not hold a NUL");
    }

    private static void Each<T>(IReadOnlyList<T>? items, string name, Action<T, string> check)
        where T : class
    {
        for (var i = 0; i < items?.Count; i++) check(items[i] ?? throw Broken($"{name}[{i}]", "is null"), $"{name}[{i}]");
    }

    private static void Each(IReadOnlyDictionary<string, string>? items, string name)
    {
        foreach (var (key, value) in items ?? new Dictionary<string, string>())
        {
            Text(key, name);
            if (value is null) throw Broken($"{name}[{key}]", "is null");
        }
    }

    private static ArgumentException Broken(string member, string rule) => new($"{member} {rule}");
}
