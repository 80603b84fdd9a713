using System.Collections.Concurrent;
using Reconciler.Containerd.Api.Snapshots;
using Reconciler.Containerd.Tests.Containers;
using Reconciler.Containerd.Tests.Registries;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.Containerd.Tests.Faults;

/// <summary>A containerd of its own, a registry, and a client that no fault touches.</summary>
public sealed class FaultBench : IAsyncLifetime
{
    private static readonly StopOptions AtOnce = new() { Grace = TimeSpan.Zero };

    private readonly TempFolder _folder = new();
    private readonly FakeRegistry _registry = new();
    private readonly Dictionary<string, IReadOnlyList<(string? Rpc, int Occurrence)>> _rpcs = [];
    private readonly ConcurrentDictionary<string, Scene> _staged = [];

    public ContainerdDaemon Daemon { get; private set; } = null!;

    public ContainerdClient Healthy { get; private set; } = null!;

    public string Fifos => _folder["fifo"];

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        Daemon = await ContainerdDaemon.StartAsync();
        await SharedDaemon.ImportAsync(Daemon, TestImages.Busybox(), SharedDaemon.Busybox);
        Healthy = await ContainerdClient.ConnectAsync(Options(Daemon.Address), Stop);
    }

    public async ValueTask DisposeAsync()
    {
        await Healthy.DisposeAsync();
        await _registry.DisposeAsync();
        await Daemon.DisposeAsync();
        _folder.Dispose();
    }

    internal ContainerdClientOptions Options(string address) => SharedDaemon.OptionsFor(Daemon) with
    {
        Address = address,
        FifoDirectory = Fifos,
        Registry = new RegistryOptions { PlainHttpHosts = [_registry.Host] },
    };

    internal CallProxy Proxy() => new(Daemon.Address, _folder[Names.Unique()]);

    /// <summary>Makes what the call finds.</summary>
    internal async Task<Scene> StageAsync(PublicCall call)
    {
        var scene = new Scene(SharedDaemon.NewId(), SharedDaemon.Busybox, _registry.Add(TestImages.Marked(Names.Unique()), Names.Unique()));
        foreach (var name in scene.Images) _staged[name] = scene;
        var container = new Container { Id = scene.Id, Image = scene.Image, Command = ["sleep", "1000"] };
        switch (call.Stage)
        {
            case Stage.Running:
                await StartAsync(container);
                break;
            case Stage.Paused:
                await StartAsync(container);
                await Daemon.PauseAsync(scene.Id);
                break;
            case Stage.Ended:
                await StartAsync(container with { Command = ["true"] });
                await Healthy.ProbeContainerAsync(scene.Id, TimeSpan.Zero, Stop);
                break;
            case Stage.Record:
                await Daemon.CtrAsync("containers", "create", scene.Image, scene.Id, "sleep", "1000");
                break;
            case Stage.Image:
                await Healthy.TagImageAsync(scene.Image, scene.Name, null, Stop);
                break;
            case Stage.Snapshot:
                var request = new PrepareSnapshotRequest { Snapshotter = "overlayfs", Key = scene.Name };
                request.Labels["containerd.io/gc.root"] = "1";
                await Healthy.Services.Snapshots.PrepareAsync(request, Healthy.Call(Stop));
                break;
            default:
                break;
        }
        return scene;
    }

    /// <summary>The RPCs that a call makes when nothing fails, each with how often it came before and now.</summary>
    internal async Task<IReadOnlyList<(string? Rpc, int Occurrence)>> RpcsAsync(PublicCall call)
    {
        if (_rpcs.TryGetValue(call.Method, out var known)) return known;
        await using var attempt = await Attempt.StageAsync(this, call, options => options);
        var error = await attempt.JudgeAsync(attempt.RunAsync("none", 1, _ => { }));
        var rpcs = attempt.Rpcs;
        Assert.Null(error);
        await CleanUpAsync(attempt.Scene);
        var all = rpcs.Select((rpc, i) => ((string?)rpc, rpcs.Take(i + 1).Count(other => other == rpc)));
        return _rpcs[call.Method] = rpcs.Count == 0 ? [(null, 1)] : [.. call.IsLong ? all.Where(at => at.Item2 == 1) : all];
    }

    /// <summary>What anyone can do after a fault: destroy, remove.</summary>
    internal async Task CleanUpAsync(Scene scene)
    {
        if (await Record.ExceptionAsync(() => Healthy.DestroyContainerAsync(scene.Id, AtOnce, Stop)) is { } failure) Assert.True(failure is ContainerdException { IsNotfound: true }, failure.ToString());
        foreach (var name in scene.Images) await RemoveImageAsync(name);
        await Healthy.RemoveSnapshotAsync(scene.Name, Stop);
        if ((await Healthy.ListNamespacesAsync(Stop)).Any(found => found.Name == scene.Id)) await Healthy.RemoveNamespaceAsync(scene.Id, Stop);
    }

    /// <summary>A removal whose answer was lost may be done by now.</summary>
    private async Task RemoveImageAsync(string name)
    {
        if (await Record.ExceptionAsync(() => Healthy.RemoveImageAsync(name, cancellation: Stop)) is { } error) Assert.True(error is ContainerdException { IsNotfound: true }, error.ToString());
    }

    /// <summary>No container, no task, no lease, no unfinished snapshot, no FIFO, no image but the first one.</summary>
    internal async Task AssertNothingIsLeftAsync()
    {
        Assert.Empty(await Healthy.ListContainersAsync(null, Stop));
        Assert.Empty(await Healthy.ListTasksAsync(Stop));
        // containerd goes on with a request whose connection was cut: a tag may be written after it was cleaned up.
        await Eventually.UntilAsync(
            async () =>
            {
                var found = (await Healthy.ListImagesAsync(null, Stop)).Select(image => image.Name).Where(name => name != SharedDaemon.Busybox).ToList();
                Assert.All(found, name => Assert.True(_staged.ContainsKey(name), $"{name} is of no attempt"));
                foreach (var name in found) await RemoveImageAsync(name);
                return found.Count == 0;
            },
            "no image is left");
        // A pull that failed tidies up behind its caller.
        await Eventually.UntilAsync(async () => (await Daemon.CtrAsync("leases", "ls", "-q")).Trim().Length == 0, "no lease is left");
        await Eventually.UntilAsync(
            async () => (await Healthy.ListSnapshotsAsync(Stop)).All(snapshot => snapshot.Kind == SnapshotKind.Committed), "no unfinished snapshot is left");
        await Eventually.UntilAsync(() => !Directory.Exists(Fifos) || !Directory.EnumerateFileSystemEntries(Fifos).Any(), "no FIFO is left");
    }

    /// <summary>
    /// Failures of containerd and runc themselves: a daemon killed between two steps of its overlay snapshotter leaves a folder that is in the way until its next
    /// garbage collection, and runc gives up freezing on a busy machine with cgroup v1.
    /// </summary>
    internal static bool IsOfContainerd(ContainerdException error) =>
        error.Message.Contains("failed to rename", StringComparison.Ordinal) || error.Message.Contains("unable to freeze", StringComparison.Ordinal);

    private Task StartAsync(Container container) => Eventually.UntilAsync(
        async () =>
        {
            try
            {
                await Healthy.CreateContainerAsync(container, Stop);
                return true;
            }
            catch (ContainerdException e) when (IsOfContainerd(e))
            {
                return false;
            }
        },
        $"{container.Id} is made");

    internal Task NothingOfAsync(Scene scene) => Leftover.NothingAsync(Healthy, Daemon, scene.Id);
}
