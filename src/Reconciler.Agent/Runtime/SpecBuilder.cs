using Reconciler.Containerd;
using Reconciler.Core.Model;

namespace Reconciler.Agent.Runtime;

/// <summary>A declared container as an OCI runtime spec. What comes from the image (env, user, command) the client library adds.</summary>
/// <param name="containerdNamespace">containerd's namespace, part of the name of every cgroup of ours.</param>
/// <param name="systemdCgroup">systemd makes the cgroups.</param>
internal sealed class SpecBuilder(string containerdNamespace, bool systemdCgroup, Cgroups cgroups, SpecMounts mounts, SpecSecurity security, NetworkFiles network)
{
    private const long CpuPeriodMicroseconds = 100_000;

    /// <summary>The kernel takes no smaller quota.</summary>
    private const long MinimumQuotaMicroseconds = 1_000;

    private const ulong MostOpenFiles = 1_048_576;

    /// <exception cref="Core.Ports.RuntimeException">A mount's source is missing or of another type.</exception>
    public OciSpec Build(ContainerSpec container, string id)
    {
        var process = container.Process;
        var spec = DefaultSpec.Create(id, containerdNamespace);
        var name = network.HostName(container.Workload, process.HostNetwork);
        spec.Hostname = process.HostNetwork ? null : name;
        spec.Root = new OciRoot { Path = "rootfs", Readonly = process.Security.ReadOnlyRootFilesystem };
        spec.Process!.Args = [];
        spec.Process.Env = [$"HOSTNAME={name}", .. process.Env.Select(variable => $"{variable.Name}={variable.Value}")];
        spec.Process.Cwd = process.WorkingDir.Length > 0 ? process.WorkingDir : null;
        spec.Process.Rlimits = OpenFiles();
        spec.Process.OomScoreAdj = 0; // else containerd's own, -999 as a service: the kernel would kill everything else on the machine first
        spec.Linux!.CgroupsPath = systemdCgroup ? $"{Cgroups.Slice}:{containerdNamespace}:{id}" : $"/{containerdNamespace}/{id}";
        Namespaces(spec.Linux, process);
        Limits(spec.Linux, process.Limits);
        mounts.Apply(spec, container);
        security.Apply(spec, process.Security);
        return spec;
    }

    private void Namespaces(OciLinux linux, ContainerProcess process)
    {
        var namespaces = linux.Namespaces!.ToList();
        if (process.HostNetwork) namespaces.RemoveAll(ns => ns.Type is "network" or "uts");
        if (process.HostPid) namespaces.RemoveAll(ns => ns.Type == "pid");
        if (cgroups.IsV2 && namespaces.TrueForAll(ns => ns.Type != "cgroup")) namespaces.Add(new OciNamespace { Type = "cgroup" });
        linux.Namespaces = namespaces;
    }

    private void Limits(OciLinux linux, ResourceLimits limits)
    {
        var resources = linux.Resources ??= new OciResources();
        if (limits.MilliCpu is { } cpu)
        {
            var quota = Math.Max(MinimumQuotaMicroseconds, cpu * CpuPeriodMicroseconds / 1000);
            resources.Cpu = new OciCpu { Period = (ulong)CpuPeriodMicroseconds, Quota = quota };
        }
        if (limits.MemoryBytes is { } memory) resources.Memory = new OciMemory { Limit = memory, Swap = cgroups.LimitsSwap ? memory : null };
        if (limits.Pids is { } pids) resources.Pids = new OciPids { Limit = pids };
    }

    /// <summary>Raised as far as we may ourselves: runc cannot go beyond, and 1024 is too few for a server.</summary>
    private static List<OciRlimit> OpenFiles()
    {
        const string name = "Max open files";
        var line = File.ReadLines("/proc/self/limits").FirstOrDefault(text => text.StartsWith(name, StringComparison.Ordinal));
        var hard = line?[name.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries).ElementAtOrDefault(1);
        if (!ulong.TryParse(hard, out var limit) || limit > MostOpenFiles) limit = hard is null ? 1024 : MostOpenFiles;
        return [new OciRlimit { Type = "RLIMIT_NOFILE", Soft = limit, Hard = limit }];
    }
}
