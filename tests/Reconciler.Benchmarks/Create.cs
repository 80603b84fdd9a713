using System.Diagnostics;
using System.Globalization;
using Reconciler.Containerd;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.Benchmarks;

/// <summary>
/// The client library's create and destroy against the same RPCs issued bare and against <c>ctr</c>, one after the other in each round; and what a watched
/// container costs it in memory.
/// </summary>
internal static class Create
{
    private const int Rounds = 40;
    private const int Watched = 100;

    private static readonly StopOptions AtOnce = new() { Grace = TimeSpan.Zero };

    public static async Task RunAsync(ContainerdDaemon daemon, Registry registry, Table table)
    {
        using var folder = new TempFolder();
        await using var client = await Bare.ConnectAsync(daemon, registry);
        var image = (await client.PullImageAsync($"{registry.Host}/lib/busybox:1")).Name;
        await ComparedAsync(daemon, client, image, folder, table);
        await RememberedAsync(daemon, registry, client, image, folder, table);
    }

    private static async Task ComparedAsync(ContainerdDaemon daemon, ContainerdClient client, string image, TempFolder folder, Table table)
    {
        var (create, destroy, bareCreate, bareDestroy, ctrRun, ctrRemove) = (new Sample(), new Sample(), new Sample(), new Sample(), new Sample(), new Sample());
        await client.CreateContainerAsync(Bare.Container("model", image, folder.Path));
        var calls = await BareCalls.OfAsync(client, "model", image);
        await client.DestroyContainerAsync("model", AtOnce);
        for (var round = 0; round < Rounds; round++)
        {
            // Whoever goes first in a round finds the disk quieter: they take turns.
            if (round % 2 == 0) await OursAsync($"ours-{round}");
            bareCreate.Add(await TimeAsync(() => calls.CreateAsync($"bare-{round}", folder.Path)));
            bareDestroy.Add(await TimeAsync(() => calls.DestroyAsync($"bare-{round}")));
            if (round % 2 != 0) await OursAsync($"ours-{round}");
            var its = $"ctr-{round}";
            ctrRun.Add(await TimeAsync(() => daemon.CtrAsync("run", "-d", "--net-host", "--seccomp", image, its, "sleep", "1000000")));
            ctrRemove.Add(await TimeAsync(async () =>
            {
                await daemon.CtrAsync("tasks", "rm", "-f", its);
                await daemon.CtrAsync("containers", "rm", its);
            }));
        }
        table.Add($"client library, create and start, {Rounds} rounds, against the same RPCs issued bare", create, bareCreate, "1.05");
        table.Add("the same: destroy, against its RPCs issued bare", destroy, bareDestroy, "1.05");
        table.Add("client library, create and start, against ctr run -d", create, ctrRun, "-");
        table.Add("the same: destroy, against ctr tasks rm -f and containers rm", destroy, ctrRemove, "-");

        async Task OursAsync(string id)
        {
            create.Add(await TimeAsync(() => client.CreateContainerAsync(Bare.Container(id, image, folder.Path))));
            destroy.Add(await TimeAsync(() => client.DestroyContainerAsync(id, AtOnce)));
        }
    }

    /// <summary>The managed heap of this process before and after it watches containers that run.</summary>
    private static async Task RememberedAsync(
        ContainerdDaemon daemon, Registry registry, ContainerdClient maker, string image, TempFolder folder, Table table)
    {
        var ids = Enumerable.Range(0, Watched).Select(i => "w" + i.ToString(CultureInfo.InvariantCulture)).ToList();
        foreach (var id in ids) await maker.CreateContainerAsync(Bare.Container(id, image, folder.Path));
        await using (var client = await Bare.ConnectAsync(daemon, registry))
        {
            await client.RecoverContainerAsync(ids[0]); // what is made once
            var before = GC.GetTotalMemory(forceFullCollection: true);
            foreach (var id in ids.Skip(1)) await client.RecoverContainerAsync(id);
            var bytes = (GC.GetTotalMemory(forceFullCollection: true) - before) / (Watched - 1.0);
            table.Add("client library, managed memory of one more watched container", string.Create(CultureInfo.InvariantCulture, $"{bytes / 1024:0.0} KiB"), "-", "-", "4 KiB");
        }
        foreach (var id in ids) await maker.DestroyContainerAsync(id, AtOnce);
    }

    private static async Task<TimeSpan> TimeAsync(Func<Task> act)
    {
        var begun = Stopwatch.GetTimestamp();
        await act();
        return Stopwatch.GetElapsedTime(begun);
    }
}
