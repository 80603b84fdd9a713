using System.Collections.Concurrent;
using Microsoft.Extensions.Logging.Abstractions;
using Reconciler.Agent.Hosting;
using Reconciler.Agent.Logs;
using Reconciler.Agent.Runtime;
using Reconciler.Containerd;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.Agent.Tests.Runtime;

/// <summary>One containerd for many tests, with an image.</summary>
public sealed class SharedDaemon : IAsyncLifetime
{
    public const string Image = "registry.test/busybox:1";

    public ContainerdDaemon Daemon { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        Daemon = await ContainerdDaemon.StartAsync();
        await ImportAsync(Daemon);
    }

    public ValueTask DisposeAsync() => Daemon.DisposeAsync();

    public static async Task ImportAsync(ContainerdDaemon daemon, TestImage? image = null, string name = Image)
    {
        using var folder = new TempFolder();
        await File.WriteAllBytesAsync(folder["image.tar"], (image ?? TestImages.Busybox()).ToArchive(name));
        await daemon.CtrAsync("images", "import", folder["image.tar"]);
    }
}

[CollectionDefinition(nameof(SharedDaemon))]
public sealed class SharedDaemonCollection : ICollectionFixture<SharedDaemon>;

/// <summary>The adapter on a daemon, with folders of its own: what one agent process has. Another one over the same node is its next life.</summary>
internal sealed class RuntimeNode : IAsyncDisposable
{
    private readonly CancellationTokenSource _end = new();
    private readonly Task _events;
    private readonly TempFolder? _own;

    private RuntimeNode(ContainerdDaemon daemon, ContainerdClient client, string folder, TempFolder? own, bool collects)
    {
        Daemon = daemon;
        Client = client;
        Folder = folder;
        _own = own;
        var options = new NodeOptions
        {
            ContainerdAddress = daemon.Address,
            ContainerdNamespace = daemon.Namespace,
            StateDir = Path.Combine(folder, "state"),
            LogDir = Path.Combine(folder, "logs"),
            NodeName = "node",
        };
        Directory.CreateDirectory(options.StateDir);
        Logs = new LogFiles(options.LogDir, TimeProvider.System, "/");
        Runtime = new ContainerdRuntime(client, options, Logs, TimeProvider.System, NullLogger<ContainerdRuntime>.Instance) { Explained = true };
        _events = collects ? CollectAsync() : Task.CompletedTask;
    }

    public ContainerdDaemon Daemon { get; }

    public ContainerdClient Client { get; }

    public string Folder { get; }

    public LogFiles Logs { get; }

    public ContainerdRuntime Runtime { get; }

    public ConcurrentQueue<RuntimeEvent> Events { get; } = new();

    /// <param name="before">An earlier life whose folders are used again.</param>
    /// <param name="address">A proxy before the daemon; null = the daemon itself.</param>
    /// <param name="collects">Reads the events; false = a loop does, and also recovers.</param>
    /// <param name="calls">Notes the calls; null = nobody does.</param>
    public static async Task<RuntimeNode> StartAsync(
        ContainerdDaemon daemon, RuntimeNode? before = null, string? plainHttp = null, bool collects = true, string? address = null, CallLog? calls = null)
    {
        var client = await ContainerdClient.OpenAsync(
            new ContainerdClientOptions
            {
                Address = address ?? daemon.Address,
                Namespace = daemon.Namespace,
                Registry = new RegistryOptions { PlainHttpHosts = plainHttp is null ? [] : [plainHttp] },
            },
            calls,
            TestContext.Current.CancellationToken);
        var own = before is null ? new TempFolder() : null;
        var node = new RuntimeNode(daemon, client, before?.Folder ?? own!.Path, own, collects);
        if (!collects) return node;
        await Eventually.UntilAsync(() => node.Events.Any(told => told is RuntimeEvent.Gap), "events are subscribed to");
        await node.Runtime.RecoverAsync(TestContext.Current.CancellationToken);
        return node;
    }

    /// <summary>Ends this life as an agent's stop does; containers run on and the folders stay.</summary>
    public async Task EndAsync()
    {
        await _end.CancelAsync();
        await _events;
        await Runtime.DisposeAsync();
        await Client.DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (!_end.IsCancellationRequested) await EndAsync();
        _end.Dispose();
        _own?.Dispose();
    }

    public async Task<ActualContainer> CreateAsync(ContainerSpec spec, long incarnation = 1, string? digest = null, int restarts = 0)
    {
        await Runtime.CreateContainerAsync(new NodeAction.CreateContainer(spec, incarnation, digest, restarts, 0, "test"), TestContext.Current.CancellationToken);
        return (await ObserveAsync(spec)).Single(container => container.Incarnation == incarnation);
    }

    public async Task<EquatableArray<ActualContainer>> ObserveAsync(ContainerSpec spec) =>
        (await Runtime.ObserveAsync(spec.Key, spec.Process.Image, TestContext.Current.CancellationToken)).Containers;

    public async Task<ActualContainer> UntilAsync(ContainerSpec spec, Func<ActualContainer, bool> condition, string what)
    {
        ActualContainer? found = null;
        await Eventually.UntilAsync(async () => (found = (await ObserveAsync(spec)).FirstOrDefault(condition)) is not null, what);
        return found!;
    }

    /// <summary>The time of its start is in its record: the runtime writes it behind the caller's back.</summary>
    public Task UntilNotedAsync(ActualContainer container) => Eventually.UntilAsync(
        async () => (await Client.GetContainerAsync(container.Id, TestContext.Current.CancellationToken)).Labels.ContainsKey(Labels.StartedAt), "its start is noted");

    public Task<ActualContainer> UntilExitedAsync(ContainerSpec spec) =>
        UntilAsync(spec, container => container.State == ContainerState.Exited, $"{spec.Key} exits");

    /// <summary>Runs a container to its end and returns what it printed.</summary>
    public async Task<string> RunAsync(ContainerSpec spec)
    {
        var container = await CreateAsync(spec);
        var ended = await UntilExitedAsync(spec);
        var logs = Logs.PathsOf(spec.Namespace, spec.Workload, spec.Name, container.Incarnation);
        await RemoveAsync(spec); // Tasks.Delete waits until the shim has written all
        var output = await File.ReadAllTextAsync(logs.Out);
        Assert.True(ended.ExitCode == 0, $"exit code {ended.ExitCode}: {output}{await File.ReadAllTextAsync(logs.Err)}");
        return output;
    }

    public Task StopAsync(ActualContainer container, TimeSpan grace, DateTimeOffset? deadline = null, CancellationToken? cancellation = null) =>
        Runtime.StopContainerAsync(new NodeAction.StopContainer(container.Id, grace, deadline, "test"), cancellation ?? TestContext.Current.CancellationToken);

    public Task DeleteAsync(ActualContainer container) =>
        Runtime.DeleteContainerAsync(new NodeAction.DeleteContainer(container.Id, "test"), TestContext.Current.CancellationToken);

    public Task RecordAsync(ActualContainer container) =>
        Runtime.RecordExitAsync(new NodeAction.RecordExit(container.Id, "test"), TestContext.Current.CancellationToken);

    public async Task RemoveAsync(ContainerSpec spec)
    {
        foreach (var container in await ObserveAsync(spec))
        {
            if (container.IsLive) await StopAsync(container, TimeSpan.Zero);
            await DeleteAsync(container);
        }
    }

    /// <summary>The next event after <paramref name="seen"/> earlier ones that fits.</summary>
    public Task UntilToldAsync(Func<RuntimeEvent, bool> condition, string what) =>
        Eventually.UntilAsync(() => Events.Any(condition), what);

    /// <summary>A container named after nothing else in this run.</summary>
    public static ContainerSpec Spec(string script, Func<ContainerProcess, ContainerProcess>? change = null, string? workload = null) =>
        Spec(["sh", "-c", script], change, workload);

    public static ContainerSpec Spec(string[] command, Func<ContainerProcess, ContainerProcess>? change = null, string? workload = null)
    {
        workload ??= "w" + Names.Unique();
        var process = new ContainerProcess { Image = SharedDaemon.Image, Command = [.. command] };
        process = change?.Invoke(process) ?? process;
        return new ContainerSpec
        {
            Key = ResourceKey.Container("test", workload, "main"),
            Namespace = "test",
            Workload = workload,
            Name = "main",
            Source = "file:test/one.yaml",
            Process = process,
            Hash = SpecHash.Of(process),
        };
    }

    private async Task CollectAsync()
    {
        try
        {
            await foreach (var told in Runtime.EventsAsync(_end.Token)) Events.Enqueue(told);
        }
        catch (OperationCanceledException)
        {
        }
    }
}
