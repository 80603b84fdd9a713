using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Reconciler.Containerd.Api.Types;
using Reconciler.Containerd.Tests.Containers;

namespace Reconciler.Containerd.Tests.Processes;

public sealed class MetricsTests(SharedDaemon shared)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_running_container_has_metrics_and_an_ended_one_has_not()
    {
        await using var client = await shared.ConnectAsync();
        var (id, pid) = await Scripts.HeldAsync(client, 0);

        var one = await client.MetricsAsync(id, Stop);
        var all = await client.ListMetricsAsync(Stop);

        Assert.Equal(id, one.Id);
        Assert.True(one.Time > DateTimeOffset.UnixEpoch);
        Assert.True(one.Pids >= 1);
        Assert.Null(one.PidsLimit);
        Assert.Null(one.MemoryLimit);
        Assert.True(one.CpuTime > TimeSpan.Zero);
        Assert.True(one.MemoryUsage > 0);
        Assert.True(one.MemoryWorkingSet <= one.MemoryUsage);
        Assert.Single(all, metrics => metrics.Id == id);

        Scripts.Let(pid);
        await client.ProbeContainerAsync(id, Scripts.Long, Stop);
        await client.DeleteTaskAsync(id, Stop);
        var ended = await Assert.ThrowsAsync<ContainerdException>(() => client.MetricsAsync(id, Stop));
        Assert.Equal(ContainerdError.TaskNotfound, ended.Code);
        await client.DestroyContainerAsync(id, null, Stop);
        var gone = await Assert.ThrowsAsync<ContainerdException>(() => client.MetricsAsync(id, Stop));
        Assert.Equal(ContainerdError.ContainerNotfound, gone.Code);
    }

    [Fact]
    public void A_payload_of_v1_is_read()
    {
        var metrics = new Api.CgroupsV1.Metrics
        {
            Pids = new Api.CgroupsV1.PidsStat { Current = 3, Limit = 10 },
            Cpu = new Api.CgroupsV1.CPUStat
            {
                Usage = new Api.CgroupsV1.CPUUsage { Total = 3_000_000_000, User = 2_000_000_000, Kernel = 1_000_000_000 },
                Throttling = new Api.CgroupsV1.Throttle { Periods = 9, ThrottledPeriods = 4, ThrottledTime = 500_000_000 },
            },
            Memory = new Api.CgroupsV1.MemoryStat { TotalInactiveFile = 100, Usage = new Api.CgroupsV1.MemoryEntry { Usage = 4096, Limit = 8192 } },
            MemoryOomControl = new Api.CgroupsV1.MemoryOomControl { OomKill = 2 },
        };

        var read = ContainerMetrics.From(Metric("io.containerd.cgroups.v1.Metrics", metrics));

        Assert.Equal(Expected(), read);
        metrics.Memory.Usage.Limit = 0x7FFF_FFFF_FFFF_F000;
        metrics.Pids.Limit = 0;
        read = ContainerMetrics.From(Metric("io.containerd.cgroups.v1.Metrics", metrics));
        Assert.Equal((null, null), (read!.MemoryLimit, read.PidsLimit));
    }

    [Fact]
    public void A_payload_of_v2_is_read()
    {
        var metrics = new Api.CgroupsV2.Metrics
        {
            Pids = new Api.CgroupsV2.PidsStat { Current = 3, Limit = 10 },
            Cpu = new Api.CgroupsV2.CPUStat
            {
                UsageUsec = 3_000_000, UserUsec = 2_000_000, SystemUsec = 1_000_000, NrPeriods = 9, NrThrottled = 4, ThrottledUsec = 500_000,
            },
            Memory = new Api.CgroupsV2.MemoryStat { InactiveFile = 100, Usage = 4096, UsageLimit = 8192 },
            MemoryEvents = new Api.CgroupsV2.MemoryEvents { Oom = 7, OomKill = 2 },
        };

        var read = ContainerMetrics.From(Metric("io.containerd.cgroups.v2.Metrics", metrics));

        Assert.Equal(Expected(), read);
        metrics.Memory.UsageLimit = ulong.MaxValue;
        metrics.Pids.Limit = ulong.MaxValue;
        metrics.Memory.InactiveFile = 5000;
        read = ContainerMetrics.From(Metric("types.containerd.io/io.containerd.cgroups.v2.Metrics", metrics));
        Assert.Equal((null, null, 0UL), (read!.MemoryLimit, read.PidsLimit, read.MemoryWorkingSet));
    }

    [Fact]
    public void What_is_missing_is_null_and_another_payload_is_none()
    {
        var empty = ContainerMetrics.From(Metric("io.containerd.cgroups.v1.Metrics", new Api.CgroupsV1.Metrics()));

        Assert.Equal(new ContainerMetrics { Id = "x", Time = Noon }, empty);
        Assert.Null(ContainerMetrics.From(Metric("example.test/other", new Empty())));
        Assert.Null(ContainerMetrics.From(new Metric { Id = "x" }));
        var broken = new Any { TypeUrl = "io.containerd.cgroups.v2.Metrics", Value = ByteString.CopyFrom(0xFF, 0xFF) };
        Assert.Null(ContainerMetrics.From(new Metric { Id = "x", Data = broken }));
    }

    private static DateTimeOffset Noon { get; } = new(2026, 1, 2, 12, 0, 0, TimeSpan.Zero);

    private static Metric Metric(string type, IMessage payload) => new()
    {
        Id = "x",
        Timestamp = Timestamp.FromDateTimeOffset(Noon),
        Data = new Any { TypeUrl = type, Value = payload.ToByteString() },
    };

    private static ContainerMetrics Expected() => new()
    {
        Id = "x",
        Time = Noon,
        Pids = 3,
        PidsLimit = 10,
        CpuTime = TimeSpan.FromSeconds(3),
        CpuUserTime = TimeSpan.FromSeconds(2),
        CpuKernelTime = TimeSpan.FromSeconds(1),
        CpuThrottledPeriods = 4,
        CpuThrottledTime = TimeSpan.FromMilliseconds(500),
        MemoryUsage = 4096,
        MemoryWorkingSet = 3996,
        MemoryLimit = 8192,
        OomKills = 2,
    };
}
