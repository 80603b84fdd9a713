using System.Diagnostics;
using System.Globalization;
using Reconciler.Containerd;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.Benchmarks;

/// <summary>A folder is written until n containers run, against the client library at the same parallelism (2 per core).</summary>
internal static class Fleet
{
    public static async Task RunAsync(ContainerdDaemon daemon, Registry registry, Table table, int n)
    {
        var (ours, loop, podmans) = (new Sample(), new Sample(), new Sample());
        var image = $"{registry.Host}/lib/busybox:1";
        await using var podman = n == 20 ? await Peer.PodmanAsync(registry) : null;
        await using var watcher = await Bare.ConnectAsync(daemon, registry);
        await watcher.PullImageAsync(image);
        await using var bare = await Bare.ConnectAsync(daemon, registry, "b");
        await bare.PullImageAsync(image);
        for (var round = 0; round < 3; round++)
        {
            ours.Add(await AgentAsync(daemon, registry, watcher, n));
            loop.Add(await BareAsync(bare, image, n));
            if (podman is not null) podmans.Add(await podman.PlayAsync(n));
        }
        table.Add($"folder written to {n} running, against the bare loop", ours, loop, "1.11");
        if (podman is not null) table.Add("the same against podman kube play", ours, podmans, "0.60");
    }

    private static async Task<TimeSpan> AgentAsync(ContainerdDaemon daemon, Registry registry, ContainerdClient watcher, int n)
    {
        await using var agent = new Agent(daemon, registry);
        agent.Start();
        await Eventually.UntilAsync(() => agent.Log.Contains("READY", StringComparison.Ordinal), "the agent is ready");
        await using var starts = new Starts(watcher);
        await starts.ReadyAsync();
        var begun = Stopwatch.GetTimestamp();
        agent.Declare(n);
        var counted = CountAsync(watcher, n);
        await counted;
        var took = Stopwatch.GetElapsedTime(begun);
        agent.Declare(0);
        await Eventually.UntilAsync(async () => (await watcher.ListContainersAsync()).Count == 0, "all are gone");
        return took;
    }

    private static Task CountAsync(ContainerdClient watcher, int n) => Eventually.UntilAsync(
        async () => (await watcher.ListTasksAsync()).Count(task => task.Status == Containerd.TaskStatus.Running) == n, "all run");

    private static async Task<TimeSpan> BareAsync(ContainerdClient bare, string image, int n)
    {
        using var folder = new TempFolder();
        var limit = new ParallelOptions { MaxDegreeOfParallelism = 2 * Environment.ProcessorCount };
        var begun = Stopwatch.GetTimestamp();
        await Parallel.ForEachAsync(Enumerable.Range(0, n), limit, async (i, stop) =>
            await bare.CreateContainerAsync(Bare.Container("n" + i.ToString(CultureInfo.InvariantCulture), image, folder.Path), stop));
        await CountAsync(bare, n);
        var took = Stopwatch.GetElapsedTime(begun);
        await Parallel.ForEachAsync(Enumerable.Range(0, n), limit, async (i, stop) =>
            await bare.DestroyContainerAsync("n" + i.ToString(CultureInfo.InvariantCulture), new StopOptions { Grace = TimeSpan.Zero }, stop));
        return took;
    }
}
