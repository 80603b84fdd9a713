using System.Diagnostics;
using System.Globalization;
using Reconciler.Containerd;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.Benchmarks;

/// <summary>Start of the process beside n running containers until it has connected and begins to reconcile.</summary>
internal static class Start
{
    public static async Task RunAsync(ContainerdDaemon daemon, Registry registry, Table table, int n)
    {
        await using var agent = new Agent(daemon, registry);
        agent.Declare(n);
        agent.Start();
        await using var client = await Bare.ConnectAsync(daemon, registry);
        await Eventually.UntilAsync(
            async () => (await client.ListTasksAsync()).Count(task => task.Status == Containerd.TaskStatus.Running) == n, "all run", TimeSpan.FromMinutes(5));
        var ours = new Sample();
        for (var round = 0; round < 7; round++)
        {
            await agent.StopAsync();
            var before = agent.Log.Length;
            var begun = Stopwatch.GetTimestamp();
            agent.Start();
            while (!agent.Log.AsSpan(before).Contains("READY", StringComparison.Ordinal))
            {
                if (Stopwatch.GetElapsedTime(begun) > Eventually.DefaultLimit) throw new TimeoutException("the agent did not get ready:\n" + agent.Log[before..]);
                await Task.Delay(1); // a finer step than what is measured
            }
            ours.Add(Stopwatch.GetElapsedTime(begun));
        }
        table.Add(string.Create(CultureInfo.InvariantCulture, $"process start to READY, {n} running"), ours.ToString(), "-", "-", "60 ms");
    }
}
