using Reconciler.Core.Model;
using Reconciler.Core.Ports;
using Reconciler.Testing;
using Reconciler.Testing.Fakes;
using Reconciler.Testing.Images;

namespace Reconciler.Agent.Tests.Runtime;

/// <summary>A node under one runtime, real or not, and what happens to it from outside.</summary>
internal abstract class ConformanceWorld : IAsyncDisposable
{
    public abstract IContainerRuntime Runtime { get; }

    /// <summary>An image that is on the node and was not fetched by the agent.</summary>
    public abstract string Image { get; }

    /// <summary>An image that a registry has and the node has not.</summary>
    public abstract string Remote { get; }

    /// <summary>A container that runs until it is asked to end, and then ends with 143.</summary>
    public abstract ContainerSpec Spec();

    /// <summary>Its process ends by itself.</summary>
    public abstract Task EndAsync(ActualContainer container, int code);

    public abstract Task SetRegistryAsync(bool away);

    /// <summary>Events so far.</summary>
    public abstract IReadOnlyCollection<RuntimeEvent> Events { get; }

    public abstract ValueTask DisposeAsync();
}

/// <summary><see cref="FakeRuntime"/> on a node in memory.</summary>
internal sealed class FakeWorld : ConformanceWorld
{
    private readonly FakeNode _node = new(TimeProvider.System);
    private readonly FakeRuntime _runtime;
    private readonly CancellationTokenSource _end = new();
    private readonly List<RuntimeEvent> _events = [];
    private readonly Task _collecting;

    public FakeWorld()
    {
        _runtime = new FakeRuntime(_node);
        _node.Put(new ActualImage { Reference = Image, Digest = "sha256:1111" });
        _node.Registry[Remote] = "sha256:2222";
        _collecting = CollectAsync();
    }

    public override IContainerRuntime Runtime => _runtime;

    public override string Image => "registry.test/busybox:1";

    public override string Remote => "registry.test/remote:1";

    public override IReadOnlyCollection<RuntimeEvent> Events
    {
        get
        {
            lock (_events) return [.. _events];
        }
    }

    public override ContainerSpec Spec() => Specs.Container(workload: "w" + Names.Unique(), image: Image);

    public override Task EndAsync(ActualContainer container, int code)
    {
        _node.Exit(container.Key, code);
        return Task.CompletedTask;
    }

    public override Task SetRegistryAsync(bool away)
    {
        _node.RegistryAway = away;
        return Task.CompletedTask;
    }

    public override async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        await _collecting.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _end.Dispose();
    }

    private async Task CollectAsync()
    {
        await foreach (var told in _runtime.EventsAsync(_end.Token))
            lock (_events) _events.Add(told);
    }
}

/// <summary>The adapter on containerd.</summary>
internal sealed class ContainerdWorld(RuntimeNode node, Registry registry, string remote) : ConformanceWorld
{
    public override IContainerRuntime Runtime => node.Runtime;

    public override string Image => SharedDaemon.Image;

    public override string Remote => remote;

    public override IReadOnlyCollection<RuntimeEvent> Events => [.. node.Events];

    public static async Task<ContainerdWorld> StartAsync(SharedDaemon shared)
    {
        var registry = await Registry.StartAsync();
        var remote = await registry.PushAsync(TestImages.Busybox(), "lib/remote", Names.Unique());
        return new ContainerdWorld(await RuntimeNode.StartAsync(shared.Daemon, plainHttp: registry.Host), registry, remote);
    }

    public override ContainerSpec Spec() =>
        RuntimeNode.Spec("trap 'exit 143' TERM; touch /tmp/ready; while [ ! -e /tmp/code ]; do sleep 0.1; done; exit $(cat /tmp/code)");

    public override async Task EndAsync(ActualContainer container, int code)
    {
        await Eventually.UntilAsync(() => File.Exists($"/proc/{container.Pid}/root/tmp/ready"), "the script runs");
        // It must not be read half written.
        await File.WriteAllTextAsync($"/proc/{container.Pid}/root/tmp/new", code.ToString(System.Globalization.CultureInfo.InvariantCulture));
        File.Move($"/proc/{container.Pid}/root/tmp/new", $"/proc/{container.Pid}/root/tmp/code");
    }

    public override async Task SetRegistryAsync(bool away)
    {
        if (away) await registry.StopAsync();
        else await registry.StartAgainAsync();
    }

    public override async ValueTask DisposeAsync()
    {
        await node.DisposeAsync();
        await registry.DisposeAsync();
    }
}
