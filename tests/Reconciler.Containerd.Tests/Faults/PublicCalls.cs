namespace Reconciler.Containerd.Tests.Faults;

/// <summary>Every public call of the client has its row here; <see cref="BadInputTests"/> sees to it.</summary>
internal static partial class PublicCalls
{
    private const string Empty = "empty";
    private const string Identifier = "identifier";

    private static readonly StopOptions AtOnce = new() { Grace = TimeSpan.Zero };

    private static readonly string TooLong = new('a', 77);

    public static IReadOnlyList<PublicCall> All { get; } = [.. Daemon(), .. Namespaces(), .. Containers(), .. Tasks(), .. Processes(), .. Images()];

    public static PublicCall Of(string method) => All.Single(call => call.Method == method);

    private static IEnumerable<PublicCall> Daemon() =>
    [
        new("ConnectAsync(options)", ConnectAsync, [.. BadOptions()]),
        new("VersionAsync()", (client, _, stop) => client.VersionAsync(stop)),
        new("ServerAsync()", (client, _, stop) => client.ServerAsync(stop)),
        new("EventsAsync(filters)", FirstEventAsync, [.. BadFilters((client, filters) => FirstAsync(client.EventsAsync(filters)))])
        {
            IsLong = true,
            WaitsForExit = true,
        },
    ];

    private static IEnumerable<PublicCall> Namespaces() =>
    [
        new("ListNamespacesAsync()", (client, _, stop) => client.ListNamespacesAsync(stop)),
        new("CreateNamespaceAsync(name, labels)", (client, scene, stop) => client.CreateNamespaceAsync(scene.Id, Label, stop),
            [.. BadIds((client, name) => client.CreateNamespaceAsync(name)), .. BadLabels((client, labels) => client.CreateNamespaceAsync("x", labels), optional: true)])
        {
            Proof = async (client, scene) => Assert.Contains(await client.ListNamespacesAsync(), found => found.Name == scene.Id),
        },
        new("UpdateNamespaceLabelsAsync(name, labels)", (client, scene, stop) => client.UpdateNamespaceLabelsAsync(client.Options.Namespace, Label, stop),
            [.. BadIds((client, name) => client.UpdateNamespaceLabelsAsync(name, Label)), .. BadLabels((client, labels) => client.UpdateNamespaceLabelsAsync("x", labels))])
        {
            Proof = async (client, scene) => Assert.Contains(await client.ListNamespacesAsync(), found => found.Labels.ContainsKey("example.test/x")),
        },
        new("RemoveNamespaceAsync(name)", (client, scene, stop) => client.RemoveNamespaceAsync(scene.Id, stop), [.. BadIds((client, name) => client.RemoveNamespaceAsync(name))])
        {
            Proof = async (client, scene) => Assert.DoesNotContain(await client.ListNamespacesAsync(), found => found.Name == scene.Id),
        },
    ];

    private static IEnumerable<PublicCall> Containers() =>
    [
        new("ListContainersAsync(filters)", (client, _, stop) => client.ListContainersAsync(null, stop),
            [.. BadFilters((client, filters) => client.ListContainersAsync(filters))]),
        new("GetContainerAsync(id)", (client, scene, stop) => client.GetContainerAsync(scene.Id, stop), [.. BadIds((client, id) => client.GetContainerAsync(id))])
        {
            Stage = Stage.Record,
        },
        new("UpdateLabelsAsync(id, labels)", (client, scene, stop) => client.UpdateLabelsAsync(scene.Id, Label, stop),
            [.. BadIds((client, id) => client.UpdateLabelsAsync(id, Label)), .. BadLabels((client, labels) => client.UpdateLabelsAsync("x", labels))])
        {
            Stage = Stage.Record,
            Proof = async (client, scene) => Assert.Equal("1", (await client.GetContainerAsync(scene.Id)).Labels["example.test/x"]),
        },
        new("CreateContainerAsync(container)", (client, scene, stop) => client.CreateContainerAsync(Sleeping(scene), stop), [.. BadContainers()])
        {
            MakesContainer = true,
            Proof = async (client, scene) => Assert.Equal(TaskStatus.Running, (await client.GetTaskAsync(scene.Id))!.Status),
        },
        new("DestroyContainerAsync(id, options)", (client, scene, stop) => client.DestroyContainerAsync(scene.Id, AtOnce, stop),
            [.. BadIds((client, id) => client.DestroyContainerAsync(id)), .. BadStops((client, options) => client.DestroyContainerAsync("x", options))])
        {
            Stage = Stage.Running,
            Proof = GoneAsync,
        },
        new("RecoverContainerAsync(id, io)", (client, scene, stop) => client.RecoverContainerAsync(scene.Id, null, stop), [.. BadIds((client, id) => client.RecoverContainerAsync(id))])
        {
            Stage = Stage.Running,
        },
        new("DeleteContainerAsync(id)", (client, scene, stop) => client.DeleteContainerAsync(scene.Id, stop), [.. BadIds((client, id) => client.DeleteContainerAsync(id))])
        {
            Stage = Stage.Record,
            Proof = GoneAsync,
        },
        new("ListSnapshotsAsync()", (client, _, stop) => client.ListSnapshotsAsync(stop)),
        new("ListSnapshotsAsync(filters)", (client, _, stop) => client.ListSnapshotsAsync(null, stop), [.. BadFilters((client, filters) => client.ListSnapshotsAsync(filters))]),
        new("RemoveSnapshotAsync(key)", (client, scene, stop) => client.RemoveSnapshotAsync(scene.Name, stop),
            (Empty, client => client.RemoveSnapshotAsync("")), ("null", client => client.RemoveSnapshotAsync(null!)))
        {
            Stage = Stage.Snapshot,
            Proof = async (client, scene) => Assert.DoesNotContain(await client.ListSnapshotsAsync(), snapshot => snapshot.Key == scene.Name),
        },
    ];

    private static IEnumerable<PublicCall> Tasks() =>
    [
        new("ListTasksAsync()", (client, _, stop) => client.ListTasksAsync(stop)) { Stage = Stage.Running },
        new("GetTaskAsync(id)", (client, scene, stop) => client.GetTaskAsync(scene.Id, stop), [.. BadIds((client, id) => client.GetTaskAsync(id))]) { Stage = Stage.Running },
        new("ContainerPidAsync(id)", (client, scene, stop) => client.ContainerPidAsync(scene.Id, stop), [.. BadIds((client, id) => client.ContainerPidAsync(id))])
        {
            Stage = Stage.Running,
        },
        new("ContainerPidsAsync(id)", (client, scene, stop) => client.ContainerPidsAsync(scene.Id, stop), [.. BadIds((client, id) => client.ContainerPidsAsync(id))])
        {
            Stage = Stage.Running,
        },
        new("KillAsync(id, signal, all)", (client, scene, stop) => client.KillAsync(scene.Id, 10, false, stop),
            [.. BadIds((client, id) => client.KillAsync(id, 9)), ("signal", client => client.KillAsync("x", 0)), ("signal", client => client.KillAsync("x", 65))])
        {
            Stage = Stage.Running,
        },
        new("WaitAsync(id)", (client, scene, stop) => client.WaitAsync(scene.Id, stop), [.. BadIds((client, id) => client.WaitAsync(id))]) { WaitsForExit = true, Stage = Stage.Ended },
        new("DeleteTaskAsync(id)", (client, scene, stop) => client.DeleteTaskAsync(scene.Id, stop), [.. BadIds((client, id) => client.DeleteTaskAsync(id))])
        {
            Stage = Stage.Ended,
            Proof = async (client, scene) => Assert.Null(await client.GetTaskAsync(scene.Id)),
        },
        new("ProbeContainerAsync(id, timeout)", (client, scene, stop) => client.ProbeContainerAsync(scene.Id, TimeSpan.Zero, stop),
            [.. BadIds((client, id) => client.ProbeContainerAsync(id, TimeSpan.Zero)), ("49 days", client => client.ProbeContainerAsync("x", TimeSpan.MaxValue))])
        {
            Rpcs = false,
        },
        new("PauseAsync(id)", (client, scene, stop) => client.PauseAsync(scene.Id, stop), [.. BadIds((client, id) => client.PauseAsync(id))])
        {
            Stage = Stage.Running,
            Proof = async (client, scene) => Assert.Equal(TaskStatus.Paused, (await client.GetTaskAsync(scene.Id))!.Status),
        },
        new("ResumeAsync(id)", (client, scene, stop) => client.ResumeAsync(scene.Id, stop), [.. BadIds((client, id) => client.ResumeAsync(id))])
        {
            Stage = Stage.Paused,
            Proof = async (client, scene) => Assert.Equal(TaskStatus.Running, (await client.GetTaskAsync(scene.Id))!.Status),
        },
    ];

    private static IEnumerable<PublicCall> Processes() =>
    [
        new("ExecContainerAsync(process)", async (client, scene, stop) => await (await client.ExecContainerAsync(Exec(scene), stop)).Exit.WaitAsync(stop), [.. BadExecs()])
        {
            WaitsForExit = true,
            Stage = Stage.Running,
        },
        new("ResizeAsync(id, columns, rows)", (client, scene, stop) => client.ResizeAsync(scene.Id, 80, 25, stop),
            [.. BadIds((client, id) => client.ResizeAsync(id, 80, 25)), .. BadSizes((client, columns, rows) => client.ResizeAsync("x", columns, rows))])
        {
            Stage = Stage.Running,
        },
        new("ResizeAsync(id, execId, columns, rows)", async (client, scene, stop) =>
            {
                await client.ExecContainerAsync(Exec(scene) with { Process = new OciProcess { Args = ["sleep", "1000"] } }, stop);
                await client.ResizeAsync(scene.Id, "e", 80, 25, stop);
            },
            [
                .. BadIds((client, id) => client.ResizeAsync(id, "e", 80, 25)), .. BadIds((client, id) => client.ResizeAsync("x", id, 80, 25)),
                .. BadSizes((client, columns, rows) => client.ResizeAsync("x", "e", columns, rows)),
            ])
        {
            Stage = Stage.Running,
        },
        new("KillAsync(id, execId, signal)", async (client, scene, stop) =>
            {
                await client.ExecContainerAsync(Exec(scene) with { Process = new OciProcess { Args = ["sleep", "1000"] } }, stop);
                await client.KillAsync(scene.Id, "e", 9, stop);
            },
            [
                .. BadIds((client, id) => client.KillAsync(id, "e", 9)), .. BadIds((client, id) => client.KillAsync("x", id, 9)),
                ("signal", client => client.KillAsync("x", "e", 0)), ("signal", client => client.KillAsync("x", "e", 65)),
            ])
        {
            Stage = Stage.Running,
        },
        new("UpdateResourcesAsync(id, resources)", (client, scene, stop) => client.UpdateResourcesAsync(scene.Id, new OciResources { Pids = new OciPids { Limit = 77 } }, stop),
            [.. BadIds((client, id) => client.UpdateResourcesAsync(id, new OciResources { Pids = new OciPids { Limit = 77 } })), .. BadResources()])
        {
            Stage = Stage.Running,
            Proof = async (client, scene) => Assert.Equal(77UL, (await client.MetricsAsync(scene.Id)).PidsLimit),
        },
        new("ListMetricsAsync()", (client, _, stop) => client.ListMetricsAsync(stop)) { Stage = Stage.Running },
        new("MetricsAsync(id)", (client, scene, stop) => client.MetricsAsync(scene.Id, stop), [.. BadIds((client, id) => client.MetricsAsync(id))]) { Stage = Stage.Running },
    ];

    private static IEnumerable<PublicCall> Images() =>
    [
        new("ListImagesAsync(filters)", (client, _, stop) => client.ListImagesAsync(null, stop), [.. BadFilters((client, filters) => client.ListImagesAsync(filters))]),
        new("GetImageAsync(name)", (client, scene, stop) => client.GetImageAsync(scene.Image, stop), [.. BadNames((client, name) => client.GetImageAsync(name))]),
        new("RemoveImageAsync(name, synchronous)", (client, scene, stop) => client.RemoveImageAsync(scene.Name, true, stop), [.. BadNames((client, name) => client.RemoveImageAsync(name))])
        {
            Stage = Stage.Image,
            Proof = async (client, scene) => Assert.Null(await client.GetImageAsync(scene.Name)),
        },
        new("TagImageAsync(source, name, labels)", (client, scene, stop) => client.TagImageAsync(scene.Image, scene.Name, Label, stop),
            [
                .. BadNames((client, name) => client.TagImageAsync(name, "y")), .. BadNames((client, name) => client.TagImageAsync("x", name)),
                .. BadLabels((client, labels) => client.TagImageAsync("x", "y", labels), optional: true),
            ])
        {
            Proof = async (client, scene) => Assert.NotNull(await client.GetImageAsync(scene.Name)),
        },
        new("UpdateImageLabelsAsync(name, labels)", (client, scene, stop) => client.UpdateImageLabelsAsync(scene.Name, Label, stop),
            [.. BadNames((client, name) => client.UpdateImageLabelsAsync(name, Label)), .. BadLabels((client, labels) => client.UpdateImageLabelsAsync("x", labels))])
        {
            Stage = Stage.Image,
            Proof = async (client, scene) => Assert.Equal("1", (await client.GetImageAsync(scene.Name))!.Labels["example.test/x"]),
        },
        new("IsUnpackedAsync(name)", (client, scene, stop) => client.IsUnpackedAsync(scene.Image, stop), [.. BadNames((client, name) => client.IsUnpackedAsync(name))]),
        new("PullImageAsync(reference, progress, options)", (client, scene, stop) => client.PullImageAsync(scene.Reference, cancellation: stop),
            [.. BadReferences((client, reference) => client.PullImageAsync(reference, (IProgress<ProgressInfo>?)null)), .. BadPulls((client, options) => client.PullImageAsync("busybox", (IProgress<ProgressInfo>?)null, options))])
        {
            IsLong = true,
            Proof = PulledAsync,
        },
        new("PullImageAsync(reference, json, options)", (client, scene, stop) => client.PullImageAsync(scene.Reference, new MemoryStream(), cancellation: stop),
            [
                .. BadReferences((client, reference) => client.PullImageAsync(reference, Stream.Null)),
                .. BadPulls((client, options) => client.PullImageAsync("busybox", Stream.Null, options)),
                ("written", client => client.PullImageAsync("busybox", new MemoryStream([], writable: false))),
                ("null", client => client.PullImageAsync("busybox", (Stream)null!)),
            ])
        {
            IsLong = true,
            Proof = PulledAsync,
        },
        new("IsRegistryReachableAsync(reference)", (client, scene, stop) => client.IsRegistryReachableAsync(scene.Reference, stop),
            [.. BadReferences((client, reference) => client.IsRegistryReachableAsync(reference))])
        {
            Rpcs = false,
        },
    ];

    private static Dictionary<string, string> Label => new() { ["example.test/x"] = "1" };

    private static Container Sleeping(Scene scene) => new() { Id = scene.Id, Image = scene.Image, Command = ["sleep", "1000"] };

    private static ExecProcess Exec(Scene scene) => new()
    {
        ContainerId = scene.Id,
        ExecId = "e",
        Process = new OciProcess { Args = ["cat"] },
        IO = ContainerIO.Streams(new MemoryStream([1, 2, 3]), new MemoryStream()),
    };

    private static async Task ConnectAsync(ContainerdClient client, Scene scene, CancellationToken stop) =>
        await (await ContainerdClient.ConnectAsync(client.Options with { ConnectTimeout = client.Options.CallTimeout }, stop)).DisposeAsync();

    private static Task FirstEventAsync(ContainerdClient client, Scene scene, CancellationToken stop) => FirstAsync(client.EventsAsync(null, stop));

    private static async Task FirstAsync(IAsyncEnumerable<ContainerdEvent> events)
    {
        await foreach (var _ in events) return;
    }

    private static async Task GoneAsync(ContainerdClient client, Scene scene)
    {
        Assert.DoesNotContain(await client.ListContainersAsync(), container => container.Id == scene.Id);
        Assert.DoesNotContain(await client.ListTasksAsync(), task => task.Id == scene.Id);
        Assert.DoesNotContain(await client.ListSnapshotsAsync(), snapshot => snapshot.Key == scene.Id);
    }

    private static async Task PulledAsync(ContainerdClient client, Scene scene) => Assert.True(await client.IsUnpackedAsync(scene.Reference));
}
