using System.Globalization;
using Reconciler.Containerd;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.Benchmarks;

/// <summary>CPU and memory of the agent over 60 s with n containers and nothing to do.</summary>
internal static class Idle
{
    public static async Task RunAsync(ContainerdDaemon daemon, Registry registry, Table table, int n, string memory)
    {
        await using var agent = new Agent(daemon, registry);
        agent.Declare(n);
        agent.Start();
        await using var client = await Bare.ConnectAsync(daemon, registry);
        await Eventually.UntilAsync(
            async () => (await client.ListTasksAsync()).Count(task => task.Status == Containerd.TaskStatus.Running) == n, "all run", TimeSpan.FromMinutes(5));
        await Task.Delay(TimeSpan.FromSeconds(10)); // the first status writes and log looks are over
        var before = Pull.Cpu(agent.Pid);
        await Task.Delay(TimeSpan.FromSeconds(60));
        var used = Pull.Cpu(agent.Pid) - before;
        table.Add($"idle with {n} containers: CPU of one core", (used / TimeSpan.FromSeconds(60)).ToString("0.00 %", CultureInfo.InvariantCulture), "-", "-", "0.1 %");
        table.Add($"idle with {n} containers: RSS / PSS", $"{Memory(agent.Pid, "Rss")} / {Memory(agent.Pid, "Pss")} MiB", "-", "-", memory);
    }

    public static string Memory(int pid, string what)
    {
        var line = File.ReadLines($"/proc/{pid}/smaps_rollup").First(l => l.StartsWith(what + ":", StringComparison.Ordinal));
        var kilobytes = double.Parse(line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
        return (kilobytes / 1024).ToString("0.0", CultureInfo.InvariantCulture);
    }
}
