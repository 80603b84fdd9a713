using System.Globalization;
using Reconciler.Containerd;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.Benchmarks;

/// <summary>
/// A workload written to the API server until its process runs and its status says so, the image being present; in each round one written by a
/// bare request, one by kubectl, and beside them the client library's create and start. All moments are by the clock of the one machine.
/// </summary>
internal static class Apply
{
    private const int Rounds = 60;

    private sealed record Stages(Sample Records, Sample Tasks, Sample Starts, Sample All)
    {
        public static Stages Empty => new(new Sample(), new Sample(), new Sample(), new Sample());

        public void Add(DateTimeOffset begun, ContainerMoments moments)
        {
            Records.Add(moments.Recorded - begun);
            Tasks.Add(moments.TaskMade - moments.Recorded);
            Starts.Add(moments.Started - moments.TaskMade);
            All.Add(moments.Started - begun);
        }
    }

    public static async Task RunAsync(ContainerdDaemon daemon, Registry registry, Table table)
    {
        var image = $"{registry.Host}/lib/busybox:1";
        using var folder = new TempFolder();
        await using var cluster = await Cluster.StartAsync();
        await using var client = await Bare.ConnectAsync(daemon, registry);
        await using var bare = await Bare.ConnectAsync(daemon, registry, "b");
        await bare.PullImageAsync(image);
        await using var containers = new ContainerTimes(client, bare);
        await containers.ReadyAsync();
        await using var objects = await ObjectTimes.StartAsync(cluster);
        await using var agent = new Agent(daemon, registry, await cluster.AgentKubeconfigAsync("bench"));
        agent.Start();
        await cluster.PostAsync(Cluster.Workloads, Cluster.Workload("warm", "bench", image));
        await objects.ReadyAsync("warm");

        var (answer, seen, status, kubectl) = (new Sample(), new Sample(), new Sample(), new Sample());
        var (ours, loop, fromEvent, fromAnswer) = (Stages.Empty, Stages.Empty, new Sample(), new Sample());
        for (var round = 0; round < Rounds; round++)
        {
            var name = "w" + round.ToString(CultureInfo.InvariantCulture);
            var sent = DateTimeOffset.UtcNow;
            await cluster.PostAsync(Cluster.Workloads, Cluster.Workload(name, "bench", image));
            var answered = DateTimeOffset.UtcNow;
            var (first, ready) = await objects.ReadyAsync(name);
            var moments = await containers.OfAsync($"default-{name}-c-");
            answer.Add(answered - sent);
            seen.Add(first - sent);
            ours.Add(first, moments);
            fromAnswer.Add(moments.Started - answered);
            status.Add(ready - moments.Started);
            await RemoveAsync(cluster, objects, name);

            var begun = DateTimeOffset.UtcNow;
            await bare.CreateContainerAsync(Bare.Container($"bare-{name}", image, folder.Path));
            loop.Add(begun, await containers.OfAsync($"bare-{name}"));
            await bare.DestroyContainerAsync($"bare-{name}", new StopOptions { Grace = TimeSpan.Zero });

            await cluster.Api.ApplyAsync(Cluster.Workload("k" + name, "bench", image));
            var returned = DateTimeOffset.UtcNow;
            (_, ready) = await objects.ReadyAsync("k" + name);
            moments = await containers.OfAsync($"default-k{name}-c-");
            kubectl.Add(moments.Started - returned);
            status.Add(ready - moments.Started);
            await RemoveAsync(cluster, objects, "k" + name);
        }
        table.Add($"create request answered to process running, {Rounds} rounds, against the bare create and start", fromAnswer, loop.All, "bare + 20 ms");
        table.Add("kubectl apply returned to process running, against the same", kubectl, loop.All, "bare + 20 ms");
        table.Add("create request sent to answered", answer.ToString(), "-", "-", "-");
        table.Add("sent to watch event", seen.ToString(), "-", "-", "-");
        table.Add("watch event (the bare call) to Containers.Create done", ours.Records, loop.Records, "-");
        table.Add("to Tasks.Create done", ours.Tasks, loop.Tasks, "-");
        table.Add("to Tasks.Start done", ours.Starts, loop.Starts, "-");
        table.Add("watch event to process running, in all", ours.All, loop.All, "-");
        table.Add($"process running to Ready in the API, {2 * Rounds} applies", status.ToString(), "-", "-", "p99 250 ms");
    }

    private static async Task RemoveAsync(Cluster cluster, ObjectTimes objects, string name)
    {
        await cluster.DeleteAsync($"{Cluster.Workloads}/{name}");
        await objects.GoneAsync(name);
    }
}
