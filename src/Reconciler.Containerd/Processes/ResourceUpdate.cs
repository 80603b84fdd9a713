using System.Text.Json;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;

namespace Reconciler.Containerd;

/// <summary>New limits laid over those that a container has.</summary>
internal static class ResourceUpdate
{
    private const string ResourcesType = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";

    /// <exception cref="ArgumentException">Nothing is given, or what cannot be changed.</exception>
    public static void Require(OciResources resources)
    {
        if (resources.Devices is not null) throw new ArgumentException("device rules of a container cannot be changed", nameof(resources));
        if (resources is { Memory: null, Cpu: null, Pids: null, Unified: null or { Count: 0 }, Extra: null or { Count: 0 } })
            throw new ArgumentException("no resource is given", nameof(resources));
        SpecRules.Require(resources);
    }

    public static Any ToAny(OciResources resources) => new()
    {
        TypeUrl = ResourcesType,
        Value = UnsafeByteOperations.UnsafeWrap(JsonSerializer.SerializeToUtf8Bytes(resources, OciJson.Default.OciResources)),
    };

    public static OciSpec Apply(OciSpec spec, OciResources update)
    {
        var linux = spec.Linux ?? new OciLinux();
        return spec with { Linux = linux with { Resources = Merge(linux.Resources ?? new OciResources(), update) } };
    }

    private static OciResources Merge(OciResources old, OciResources update) => old with
    {
        Memory = update.Memory is { } memory ? Merge(old.Memory ?? new OciMemory(), memory) : old.Memory,
        Cpu = update.Cpu is { } cpu ? Merge(old.Cpu ?? new OciCpu(), cpu) : old.Cpu,
        Pids = update.Pids ?? old.Pids,
        Unified = update.Unified is { } unified ? Merge(old.Unified ?? new Dictionary<string, string>(), unified) : old.Unified,
        Extra = Merge(old.Extra, update.Extra),
    };

    private static OciMemory Merge(OciMemory old, OciMemory update) => new()
    {
        Limit = update.Limit ?? old.Limit,
        Reservation = update.Reservation ?? old.Reservation,
        Swap = update.Swap ?? old.Swap,
        Kernel = update.Kernel ?? old.Kernel,
        KernelTcp = update.KernelTcp ?? old.KernelTcp,
        Swappiness = update.Swappiness ?? old.Swappiness,
        DisableOOMKiller = update.DisableOOMKiller ?? old.DisableOOMKiller,
        UseHierarchy = update.UseHierarchy ?? old.UseHierarchy,
        Extra = Merge(old.Extra, update.Extra),
    };

    private static OciCpu Merge(OciCpu old, OciCpu update) => new()
    {
        Shares = update.Shares ?? old.Shares,
        Quota = update.Quota ?? old.Quota,
        Burst = update.Burst ?? old.Burst,
        Period = update.Period ?? old.Period,
        RealtimeRuntime = update.RealtimeRuntime ?? old.RealtimeRuntime,
        RealtimePeriod = update.RealtimePeriod ?? old.RealtimePeriod,
        Cpus = update.Cpus ?? old.Cpus,
        Mems = update.Mems ?? old.Mems,
        Idle = update.Idle ?? old.Idle,
        Extra = Merge(old.Extra, update.Extra),
    };

    private static Dictionary<string, string> Merge(IReadOnlyDictionary<string, string> old, IReadOnlyDictionary<string, string> update)
    {
        var all = new Dictionary<string, string>(old, StringComparer.Ordinal);
        foreach (var (key, value) in update) all[key] = value;
        return all;
    }

    private static IDictionary<string, JsonElement>? Merge(IDictionary<string, JsonElement>? old, IDictionary<string, JsonElement>? update)
    {
        if (old is null || update is null) return update ?? old;
        var all = new Dictionary<string, JsonElement>(old, StringComparer.Ordinal);
        foreach (var (key, value) in update) all[key] = value;
        return all;
    }
}
