using System.Diagnostics;
using System.Globalization;
using Reconciler.Containerd;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.Benchmarks;

/// <summary>A pull of 8 layers of about 19 MB against <c>ctr images pull</c>: wall time, and CPU of client and daemon.</summary>
internal static class Pull
{
    public static async Task RunAsync(ContainerdDaemon daemon, Registry registry, Table table)
    {
        var reference = await registry.PushAsync(TestImages.WithLayers([.. Enumerable.Repeat(19_000_000, 8)]), "lib/big", "1");
        var (ours, ctr) = (new Sample(), new Sample());
        var (oursCpu, ctrCpu) = (new Sample(), new Sample());
        for (var round = 0; round < 5; round++)
        {
            await MeasureAsync(daemon, ours, oursCpu, Agent.Binary, "pull", reference,
                "--containerd-address", daemon.Address, "--containerd-namespace", daemon.Namespace, "--plain-http", registry.Host);
            await daemon.CtrAsync("images", "rm", "--sync", reference);
            await MeasureAsync(daemon, ctr, ctrCpu, "ctr", "-a", daemon.Address, "-n", daemon.Namespace, "images", "pull", "--plain-http", reference);
            await daemon.CtrAsync("images", "rm", "--sync", reference);
        }
        table.Add("pull of 8 layers, 152 MB, against ctr: wall", ours, ctr, "0.90");
        table.Add("the same: CPU of client and daemon", oursCpu, ctrCpu, "0.90");
    }

    private static async Task MeasureAsync(ContainerdDaemon daemon, Sample wall, Sample cpu, string program, params string[] arguments)
    {
        var daemonBefore = Cpu(daemon.Pid);
        var childrenBefore = Children();
        var begun = Stopwatch.GetTimestamp();
        await Shell.OutputAsync(program, arguments);
        wall.Add(Stopwatch.GetElapsedTime(begun));
        cpu.Add(Cpu(daemon.Pid) - daemonBefore + Children() - childrenBefore);
    }

    /// <summary>User and system time of a live process.</summary>
    public static TimeSpan Cpu(int pid) => Ticks(pid, 13);

    /// <summary>User and system time of our children that ended.</summary>
    private static TimeSpan Children() => Ticks(Environment.ProcessId, 15);

    private static TimeSpan Ticks(int pid, int field)
    {
        var stat = File.ReadAllText($"/proc/{pid}/stat");
        var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        var ticks = long.Parse(fields[field - 2], CultureInfo.InvariantCulture) + long.Parse(fields[field - 1], CultureInfo.InvariantCulture);
        return TimeSpan.FromMilliseconds(ticks * 10); // clock ticks are 10 ms on every Linux that .NET runs on
    }
}
