using System.Text.Json;
using System.Text.Json.Serialization;

namespace Reconciler.Containerd;

/// <summary>Limits of a cgroup.</summary>
public sealed record OciResources
{
    /// <summary>Rules of the device controller, in order.</summary>
    public IReadOnlyList<OciDeviceRule>? Devices { get; set; }

    /// <summary>Memory.</summary>
    public OciMemory? Memory { get; set; }

    /// <summary>Processor time.</summary>
    public OciCpu? Cpu { get; set; }

    /// <summary>Number of tasks.</summary>
    public OciPids? Pids { get; set; }

    /// <summary>Files of cgroup v2 by name.</summary>
    public IReadOnlyDictionary<string, string>? Unified { get; set; }

    /// <summary>Members that this model does not name; they are kept.</summary>
    [JsonExtensionData]
    public IDictionary<string, JsonElement>? Extra { get; set; }
}

/// <summary>A rule of the device controller; null = all.</summary>
public sealed record OciDeviceRule
{
    /// <summary>Allowed or denied.</summary>
    public bool Allow { get; set; }

    /// <summary><c>a</c>, <c>c</c> or <c>b</c>.</summary>
    public string? Type { get; set; }

    /// <summary>Major number.</summary>
    public long? Major { get; set; }

    /// <summary>Minor number.</summary>
    public long? Minor { get; set; }

    /// <summary>Of <c>r</c>, <c>w</c>, <c>m</c>.</summary>
    public string? Access { get; set; }
}

/// <summary>Memory limits in bytes; -1 = none.</summary>
public sealed record OciMemory
{
    /// <summary>Hard limit.</summary>
    public long? Limit { get; set; }

    /// <summary>Soft limit.</summary>
    public long? Reservation { get; set; }

    /// <summary>Limit of memory and swap together.</summary>
    public long? Swap { get; set; }

    /// <summary>Kernel memory; outdated.</summary>
    public long? Kernel { get; set; }

    /// <summary>Kernel memory of TCP buffers.</summary>
    [JsonPropertyName("kernelTCP")]
    public long? KernelTcp { get; set; }

    /// <summary>0 to 100.</summary>
    public ulong? Swappiness { get; set; }

    /// <summary>Never kill for memory.</summary>
    public bool? DisableOOMKiller { get; set; }

    /// <summary>Count sub-groups too (v1).</summary>
    public bool? UseHierarchy { get; set; }

    /// <summary>Members that this model does not name; they are kept.</summary>
    [JsonExtensionData]
    public IDictionary<string, JsonElement>? Extra { get; set; }
}

/// <summary>Processor limits.</summary>
public sealed record OciCpu
{
    /// <summary>Relative weight; 1024 is the usual one.</summary>
    public ulong? Shares { get; set; }

    /// <summary>Microseconds per period; -1 = no limit.</summary>
    public long? Quota { get; set; }

    /// <summary>Microseconds that may be saved up.</summary>
    public ulong? Burst { get; set; }

    /// <summary>Microseconds.</summary>
    public ulong? Period { get; set; }

    /// <summary>Microseconds per period.</summary>
    public long? RealtimeRuntime { get; set; }

    /// <summary>Microseconds.</summary>
    public ulong? RealtimePeriod { get; set; }

    /// <summary>As <c>0-2,7</c>.</summary>
    public string? Cpus { get; set; }

    /// <summary>Memory nodes, as <c>0-1</c>.</summary>
    public string? Mems { get; set; }

    /// <summary>1 = runs only when nothing else does.</summary>
    public long? Idle { get; set; }

    /// <summary>Members that this model does not name; they are kept.</summary>
    [JsonExtensionData]
    public IDictionary<string, JsonElement>? Extra { get; set; }
}

/// <summary>Limit of the number of tasks.</summary>
public sealed record OciPids
{
    /// <summary>Above zero; -1 = none.</summary>
    public long Limit { get; set; }
}
