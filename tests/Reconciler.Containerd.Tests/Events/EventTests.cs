using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Reconciler.Containerd.Api.Events;
using Reconciler.Containerd.Tests.Containers;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Wire = Reconciler.Containerd.Api.EventTypes;

namespace Reconciler.Containerd.Tests.Events;

public sealed class EventTests(SharedDaemon shared)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_containers_life_is_told_after_the_gap()
    {
        await using var client = await shared.ConnectAsync();
        await using var events = client.EventsAsync(null, Stop).GetAsyncEnumerator(Stop);
        Assert.IsType<ContainerdEvent.Gap>(await NextAsync(events));
        var id = SharedDaemon.NewId();
        var pid = await client.CreateContainerAsync(SharedDaemon.Sh(id, "exit 3"), Stop);
        var told = new List<ContainerdEvent>();
        // Before the destroy: a shim that is ended may take untold events with it.
        await UntilAsync(() => told.OfType<ContainerdEvent.TaskExit>().Any() && told.OfType<ContainerdEvent.TaskStart>().Any() && told.OfType<ContainerdEvent.TaskCreate>().Any());
        await client.DestroyContainerAsync(id, null, Stop);
        await UntilAsync(() => told.OfType<ContainerdEvent.ContainerChanged>().Any(change => change.Kind == ChangeKind.Deleted));

        Assert.IsType<ContainerdEvent.ContainerChanged>(told[0]);
        var exit = Assert.Single(told.OfType<ContainerdEvent.TaskExit>());
        Assert.Equal((id, id, pid, 3), (exit.ContainerId, exit.ProcessId, exit.Pid, exit.ExitCode));
        Assert.Equal(shared.Daemon.Namespace, exit.Namespace);
        Assert.True(exit.Timestamp > DateTimeOffset.UnixEpoch && exit.ExitedAt > DateTimeOffset.UnixEpoch);
        Assert.Equal(pid, Assert.Single(told.OfType<ContainerdEvent.TaskStart>()).Pid);
        Assert.Equal(pid, Assert.Single(told.OfType<ContainerdEvent.TaskCreate>()).Pid);
        Assert.All(told.OfType<ContainerdEvent.TaskDelete>(), delete => Assert.Equal(3, delete.ExitCode));

        async Task UntilAsync(Func<bool> complete)
        {
            while (!complete())
                if (await NextAsync(events) is var next && IdOf(next) == id) told.Add(next);
        }
    }

    [Fact]
    public async Task Images_are_told_and_filters_are_kept()
    {
        await using var client = await shared.ConnectAsync();
        await using var events = client.EventsAsync([$"topic~=\"^/images/\",namespace=={shared.Daemon.Namespace}"], Stop).GetAsyncEnumerator(Stop);
        Assert.IsType<ContainerdEvent.Gap>(await NextAsync(events));
        var name = $"example.test/{Names.Unique()}:1";

        await shared.Daemon.CtrAsync("images", "tag", SharedDaemon.Busybox, name);
        await shared.Daemon.CtrAsync("images", "rm", name);

        var kinds = new List<string>();
        while (!kinds.Contains(ChangeKind.Deleted))
            if (Assert.IsType<ContainerdEvent.ImageChanged>(await NextAsync(events)) is var change && change.Name == name) kinds.Add(change.Kind);
        Assert.Equal([ChangeKind.Created, ChangeKind.Deleted], kinds);
    }

    [Fact]
    public async Task A_restart_of_the_daemon_gives_a_gap_and_events_again()
    {
        await using var daemon = await ContainerdDaemon.StartAsync();
        await using var client = await SharedDaemon.ConnectAsync(daemon);
        await using var events = client.EventsAsync(null, Stop).GetAsyncEnumerator(Stop);
        Assert.IsType<ContainerdEvent.Gap>(await NextAsync(events));

        await daemon.KillAsync();
        var next = NextAsync(events);
        await daemon.StartAgainAsync();

        Assert.IsType<ContainerdEvent.Gap>(await next);
        await daemon.CtrAsync("containers", "create", "--snapshotter", "overlayfs", "--config", await SpecAsync(daemon), "later");
        Assert.Equal("later", Assert.IsType<ContainerdEvent.ContainerChanged>(await NextAsync(events)).Id);
    }

    [Fact]
    public async Task Cancel_and_close_end_it()
    {
        await using var client = await shared.ConnectAsync();
        using var cancel = new CancellationTokenSource();
        await using var cancelled = client.EventsAsync(["topic==none"], cancel.Token).GetAsyncEnumerator(cancel.Token);
        await using var closed = client.EventsAsync(["topic==none"], Stop).GetAsyncEnumerator(Stop);
        await NextAsync(cancelled);
        await NextAsync(closed);
        var (first, second) = (NextAsync(cancelled), NextAsync(closed));

        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        await client.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => second);
    }

    [Fact]
    public void Every_kind_is_decoded_and_nonsense_is_other()
    {
        Assert.Equal("x", Assert.IsType<ContainerdEvent.TaskOom>(Decode("/tasks/oom", new Wire.TaskOOM { ContainerId = "x" })).ContainerId);
        Assert.Equal(
            new ContainerdEvent.ContainerChanged("x", ChangeKind.Updated) { Namespace = "n" }, Decode("/containers/update", new Wire.ContainerUpdate { Id = "x" }));
        Assert.Equal(new ContainerdEvent.ImageChanged("i", ChangeKind.Updated) { Namespace = "n" }, Decode("/images/update", new Wire.ImageUpdate { Name = "i" }));
        Assert.Equal(
            new ContainerdEvent.TaskExit("x", "e", 4, 5, default) { Namespace = "n" },
            Decode("/tasks/exit", new Wire.TaskExit { ContainerId = "x", Id = "e", Pid = 4, ExitStatus = 5 }));
        Assert.Equal(
            new ContainerdEvent.TaskDelete("x", "e", 5) { Namespace = "n" },
            Decode("/tasks/delete", new Wire.TaskDelete { ContainerId = "x", Id = "e", ExitStatus = 5 }));
        Assert.Equal(new ContainerdEvent.Other("/snapshot/prepare") { Namespace = "n" }, Decode("/snapshot/prepare", new Empty()));
        var nonsense = new Envelope { Topic = "/tasks/exit", Event = new Any { Value = ByteString.CopyFrom(0xff, 0xff) } };
        Assert.Equal(new ContainerdEvent.Other("/tasks/exit"), EventDecoder.Decode(nonsense));
        Assert.IsType<ContainerdEvent.TaskExit>(EventDecoder.Decode(new Envelope { Topic = "/tasks/exit" }));
    }

    private static ContainerdEvent Decode(string topic, IMessage body) =>
        EventDecoder.Decode(new Envelope { Topic = topic, Namespace = "n", Event = new Any { TypeUrl = body.Descriptor.FullName, Value = body.ToByteString() } });

    private static async Task<ContainerdEvent> NextAsync(IAsyncEnumerator<ContainerdEvent> events)
    {
        Assert.True(await events.MoveNextAsync().AsTask().WaitAsync(Scripts.Long, Stop));
        return events.Current;
    }

    private static async Task<string> SpecAsync(ContainerdDaemon daemon)
    {
        var file = Path.Combine(daemon.Folder, "spec.json");
        await File.WriteAllTextAsync(file, "{\"ociVersion\":\"1.0.2\"}", Stop);
        return file;
    }

    private static string IdOf(ContainerdEvent told) => told switch
    {
        ContainerdEvent.TaskExit exit => exit.ContainerId,
        ContainerdEvent.TaskStart start => start.ContainerId,
        ContainerdEvent.TaskCreate create => create.ContainerId,
        ContainerdEvent.TaskDelete delete => delete.ContainerId,
        ContainerdEvent.ContainerChanged change => change.Id,
        _ => "",
    };
}
