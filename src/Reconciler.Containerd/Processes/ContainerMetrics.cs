using Google.Protobuf;

namespace Reconciler.Containerd;

/// <summary>What a container uses, by its cgroup (v1 or v2). A value is null where the kernel or the runtime does not tell it.</summary>
public sealed record ContainerMetrics
{
    /// <summary>The container's id.</summary>
    public required string Id { get; init; }

    /// <summary>When it was read.</summary>
    public DateTimeOffset Time { get; init; }

    /// <summary>Processes and threads in it.</summary>
    public ulong? Pids { get; init; }

    /// <summary>The most it may have; null = no limit.</summary>
    public ulong? PidsLimit { get; init; }

    /// <summary>Processor time used since its start, over all processors.</summary>
    public TimeSpan? CpuTime { get; init; }

    /// <summary>The part of <see cref="CpuTime"/> in user mode.</summary>
    public TimeSpan? CpuUserTime { get; init; }

    /// <summary>The part of <see cref="CpuTime"/> in the kernel.</summary>
    public TimeSpan? CpuKernelTime { get; init; }

    /// <summary>Quota periods in which it was held back.</summary>
    public ulong? CpuThrottledPeriods { get; init; }

    /// <summary>How long it was held back.</summary>
    public TimeSpan? CpuThrottledTime { get; init; }

    /// <summary>Bytes, page cache included.</summary>
    public ulong? MemoryUsage { get; init; }

    /// <summary>Bytes without the page cache that can be dropped at once.</summary>
    public ulong? MemoryWorkingSet { get; init; }

    /// <summary>The most it may have, in bytes; null = no limit.</summary>
    public ulong? MemoryLimit { get; init; }

    /// <summary>Processes in it that were killed for want of memory.</summary>
    public ulong? OomKills { get; init; }

    private const string V1 = "io.containerd.cgroups.v1.Metrics";
    private const string V2 = "io.containerd.cgroups.v2.Metrics";

    private const long NanosecondsPerTick = 100;

    /// <summary>v1 writes no limit as the highest page boundary, and pages have at most 64 KiB.</summary>
    private const ulong Unlimited = long.MaxValue - ushort.MaxValue;

    /// <summary>Null = the payload is of another kind, or broken.</summary>
    internal static ContainerMetrics? From(Api.Types.Metric metric)
    {
        var data = metric.Data;
        if (data is null) return null;
        try
        {
            var read = data.TypeUrl[(data.TypeUrl.LastIndexOf('/') + 1)..] switch
            {
                V1 => From(metric.Id, Api.CgroupsV1.Metrics.Parser.ParseFrom(data.Value)),
                V2 => From(metric.Id, Api.CgroupsV2.Metrics.Parser.ParseFrom(data.Value)),
                _ => null,
            };
            return read is null ? null : read with { Time = Times.Read(metric.Timestamp) ?? default };
        }
        catch (InvalidProtocolBufferException)
        {
            return null;
        }
    }

    private static ContainerMetrics From(string id, Api.CgroupsV1.Metrics metrics) => new()
    {
        Id = id,
        Pids = metrics.Pids?.Current,
        PidsLimit = Limit(metrics.Pids?.Limit),
        CpuTime = Nanoseconds(metrics.Cpu?.Usage?.Total),
        CpuUserTime = Nanoseconds(metrics.Cpu?.Usage?.User),
        CpuKernelTime = Nanoseconds(metrics.Cpu?.Usage?.Kernel),
        CpuThrottledPeriods = metrics.Cpu?.Throttling?.ThrottledPeriods,
        CpuThrottledTime = Nanoseconds(metrics.Cpu?.Throttling?.ThrottledTime),
        MemoryUsage = metrics.Memory?.Usage?.Usage,
        MemoryWorkingSet = Without(metrics.Memory?.Usage?.Usage, metrics.Memory?.TotalInactiveFile),
        MemoryLimit = Limit(metrics.Memory?.Usage?.Limit),
        OomKills = metrics.MemoryOomControl?.OomKill,
    };

    private static ContainerMetrics From(string id, Api.CgroupsV2.Metrics metrics) => new()
    {
        Id = id,
        Pids = metrics.Pids?.Current,
        PidsLimit = Limit(metrics.Pids?.Limit),
        CpuTime = Microseconds(metrics.Cpu?.UsageUsec),
        CpuUserTime = Microseconds(metrics.Cpu?.UserUsec),
        CpuKernelTime = Microseconds(metrics.Cpu?.SystemUsec),
        CpuThrottledPeriods = metrics.Cpu?.NrThrottled,
        CpuThrottledTime = Microseconds(metrics.Cpu?.ThrottledUsec),
        MemoryUsage = metrics.Memory?.Usage,
        MemoryWorkingSet = Without(metrics.Memory?.Usage, metrics.Memory?.InactiveFile),
        MemoryLimit = Limit(metrics.Memory?.UsageLimit),
        OomKills = metrics.MemoryEvents?.OomKill,
    };

    private static ulong? Limit(ulong? value) => value is 0 or >= Unlimited ? null : value;

    private static ulong? Without(ulong? usage, ulong? part) => usage is { } all ? all - Math.Min(all, part ?? 0) : null;

    private static TimeSpan? Nanoseconds(ulong? value) => value is { } some ? TimeSpan.FromTicks((long)Math.Min(some / NanosecondsPerTick, long.MaxValue)) : null;

    private static TimeSpan? Microseconds(ulong? value) =>
        value is { } some ? TimeSpan.FromTicks((long)Math.Min(some, long.MaxValue / TimeSpan.TicksPerMicrosecond) * TimeSpan.TicksPerMicrosecond) : null;
}
