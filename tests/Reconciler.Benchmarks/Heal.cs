using System.Diagnostics;
using Reconciler.Containerd;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;
using Signals = Reconciler.Testing.Signals;

namespace Reconciler.Benchmarks;

/// <summary>kill -9 of a container's process until its replacement runs, as containerd's own start event tells it.</summary>
internal static class Heal
{
    /// <summary>Each is killed once: a second restart would wait for its backoff.</summary>
    private const int Containers = 60;

    /// <summary>Kills of podman's and docker's containers, one each, among the first of ours.</summary>
    private const int PeerKills = 20;

    public static async Task RunAsync(ContainerdDaemon daemon, Registry registry, Table table)
    {
        await using var podman = await Peer.PodmanAsync(registry);
        await using var docker = await Peer.DockerAsync(registry);
        var (podmans, dockers) = (new Sample(), new Sample());
        for (var i = 0; i < PeerKills; i++)
        {
            if (podman is not null) await podman.RunAsync(i);
            if (docker is not null) await docker.RunAsync(i);
        }
        await using var agent = new Agent(daemon, registry);
        agent.Declare(Containers);
        agent.Start();
        await using var watcher = await Bare.ConnectAsync(daemon, registry);
        await using var bare = await Bare.ConnectAsync(daemon, registry, "b");
        using var folder = new TempFolder();
        var image = $"{registry.Host}/lib/busybox:1";
        await bare.PullImageAsync(image);
        var tasks = await Eventually.GetAsync(
            async () => (await watcher.ListTasksAsync()) is { Count: Containers } all && all.All(t => t.Status == Containerd.TaskStatus.Running) ? all : null,
            "all run");
        await using var starts = new Starts(watcher);
        await starts.ReadyAsync();
        var (ours, loop) = (new Sample(), new Sample());
        var bareId = "bare-0";
        var barePid = await bare.CreateContainerAsync(Bare.Container(bareId, image, folder.Path));
        for (var i = 1; i <= Containers; i++)
        {
            var next = starts.NextAsync();
            var begun = Stopwatch.GetTimestamp();
            Signals.Send(tasks[i - 1].Pid, Signals.Kill);
            await next;
            ours.Add(Stopwatch.GetElapsedTime(begun));

            begun = Stopwatch.GetTimestamp();
            Signals.Send(barePid, Signals.Kill);
            await bare.WaitAsync(bareId);
            var id = $"bare-{i}";
            barePid = await bare.CreateContainerAsync(Bare.Container(id, image, folder.Path));
            loop.Add(Stopwatch.GetElapsedTime(begun));
            await bare.DestroyContainerAsync(bareId);
            bareId = id;

            if (i > PeerKills) continue;
            if (podman is not null) podmans.Add(await podman.HealAsync(i - 1));
            if (docker is not null) dockers.Add(await docker.HealAsync(i - 1));
        }
        await bare.DestroyContainerAsync(bareId, new StopOptions { Grace = TimeSpan.Zero });
        table.Add($"exit to running, {Containers} kills, against the bare loop", ours, loop, "1.15");
        if (podman is not null) table.Add($"the same against podman --restart=always, {PeerKills} kills", ours, podmans, "0.65");
        if (docker is not null) table.Add($"the same against docker --restart=always, {PeerKills} kills", ours, dockers, "0.40");
    }
}

/// <summary>Pids of started tasks, in the order of containerd's events.</summary>
internal sealed class Starts : IAsyncDisposable
{
    private readonly System.Threading.Channels.Channel<int> _pids = System.Threading.Channels.Channel.CreateUnbounded<int>();
    private readonly TaskCompletionSource _ready = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _reader;

    public Starts(ContainerdClient client) => _reader = ReadAsync(client);

    public Task ReadyAsync() => _ready.Task;

    public Task<int> NextAsync()
    {
        while (_pids.Reader.TryRead(out _)) { }
        return _pids.Reader.ReadAsync(_stop.Token).AsTask().WaitAsync(Eventually.DefaultLimit);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _reader;
        _stop.Dispose();
    }

    private async Task ReadAsync(ContainerdClient client)
    {
        try
        {
            await foreach (var happened in client.EventsAsync([$"topic==\"/tasks/start\",namespace=={client.Options.Namespace}"], _stop.Token))
            {
                if (happened is ContainerdEvent.Gap) _ready.TrySetResult();
                if (happened is ContainerdEvent.TaskStart start) _pids.Writer.TryWrite(start.Pid);
            }
        }
        catch (OperationCanceledException)
        {
        }
    }
}
