using System.Diagnostics;
using Reconciler.Containerd;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.Benchmarks;

/// <summary>The client library's create and destroy against <c>ctr run -d</c> and <c>ctr tasks rm -f</c>, one after the other in each round.</summary>
internal static class Create
{
    private const int Rounds = 20;

    public static async Task RunAsync(ContainerdDaemon daemon, Registry registry, Table table)
    {
        using var folder = new TempFolder();
        await using var client = await Bare.ConnectAsync(daemon, registry);
        var image = (await client.PullImageAsync($"{registry.Host}/lib/busybox:1")).Name;
        var (create, destroy, ctrRun, ctrRemove) = (new Sample(), new Sample(), new Sample(), new Sample());
        for (var round = 0; round < Rounds; round++)
        {
            var id = $"ours-{round}";
            create.Add(await TimeAsync(() => client.CreateContainerAsync(Bare.Container(id, image, folder.Path))));
            destroy.Add(await TimeAsync(() => client.DestroyContainerAsync(id, new StopOptions { Grace = TimeSpan.Zero })));
            var its = $"ctr-{round}";
            ctrRun.Add(await TimeAsync(() => daemon.CtrAsync("run", "-d", "--net-host", "--seccomp", image, its, "sleep", "1000000")));
            ctrRemove.Add(await TimeAsync(async () =>
            {
                await daemon.CtrAsync("tasks", "rm", "-f", its);
                await daemon.CtrAsync("containers", "rm", its);
            }));
        }
        table.Add($"client library, create and start, {Rounds} rounds, against ctr run -d", create, ctrRun, "-");
        table.Add("the same: destroy, against ctr tasks rm -f and containers rm", destroy, ctrRemove, "-");
    }

    private static async Task<TimeSpan> TimeAsync(Func<Task> act)
    {
        var begun = Stopwatch.GetTimestamp();
        await act();
        return Stopwatch.GetElapsedTime(begun);
    }
}
