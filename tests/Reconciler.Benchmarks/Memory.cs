using System.Globalization;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.Benchmarks;

/// <summary>CPU and memory of the agent of a cluster: with nothing declared, then with n workloads of the API that run and do nothing.</summary>
internal static class Memory
{
    private const int Workloads = 100;

    private static readonly TimeSpan Settling = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Watched = TimeSpan.FromSeconds(30);

    public static async Task RunAsync(ContainerdDaemon daemon, Registry registry, Table table)
    {
        await using var cluster = await Cluster.StartAsync();
        await using var client = await Bare.ConnectAsync(daemon, registry);
        await client.PullImageAsync($"{registry.Host}/lib/busybox:1");
        await using var objects = await ObjectTimes.StartAsync(cluster);
        await using var agent = new Agent(daemon, registry, await cluster.AgentKubeconfigAsync("bench"));
        agent.Start();
        await Eventually.UntilAsync(
            async () => (await cluster.Api.TryKubectlAsync(cluster.Api.Kubeconfig, "get", "lease", "-n", Cluster.Namespace, "bench")).ExitCode == 0, "the agent has its Lease");
        await WatchAsync(agent, table, "idle with --kubernetes", "45 MiB");
        await Cluster.ForEachAsync(Workloads, i => cluster.PostAsync(
            Cluster.Workloads, Cluster.Workload("w" + i.ToString(CultureInfo.InvariantCulture), "bench", $"{registry.Host}/lib/busybox:1")));
        for (var i = 0; i < Workloads; i++) await objects.ReadyAsync("w" + i.ToString(CultureInfo.InvariantCulture));
        await WatchAsync(agent, table, $"idle with {Workloads} workloads of the API", "60 MiB");
    }

    private static async Task WatchAsync(Agent agent, Table table, string what, string target)
    {
        await Task.Delay(Settling);
        var before = Pull.Cpu(agent.Pid);
        await Task.Delay(Watched);
        var used = Pull.Cpu(agent.Pid) - before;
        table.Add($"{what}: RSS / PSS / peak RSS", $"{Idle.Memory(agent.Pid, "Rss")} / {Idle.Memory(agent.Pid, "Pss")} / {Peak(agent.Pid):0.0} MiB", "-", "-", target);
        table.Add($"{what}: CPU of one core", (used / Watched).ToString("0.00 %", CultureInfo.InvariantCulture), "-", "-", "0.1 %");
    }

    /// <summary>The most that was resident at once, in MiB.</summary>
    public static double Peak(int pid) => Status(pid, "VmHWM");

    /// <summary>What is resident now, in MiB.</summary>
    public static double Resident(int pid) => Status(pid, "VmRSS");

    private static double Status(int pid, string field)
    {
        var line = File.ReadLines($"/proc/{pid}/status").First(l => l.StartsWith(field + ":", StringComparison.Ordinal));
        return double.Parse(line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1024;
    }
}
