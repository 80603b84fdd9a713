using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Reconciler.Containerd;
using Reconciler.Containerd.Api.Containers;
using Reconciler.Containerd.Api.Snapshots;
using Reconciler.Containerd.Api.Tasks;

namespace Reconciler.Benchmarks;

/// <summary>The RPCs of a create and of a destroy with nothing around them: no lock, no look at the image, no watch, no clean-up.</summary>
/// <param name="model">The record of a container that the library made.</param>
/// <param name="chainId">Its snapshot's parent.</param>
internal sealed class BareCalls(ContainerdClient client, Reconciler.Containerd.Api.Containers.Container model, string chainId)
{
    public static async Task<BareCalls> OfAsync(ContainerdClient client, string id, string image)
    {
        var answer = await client.Services.Containers.GetAsync(new GetContainerRequest { Id = id }, client.Call(CancellationToken.None));
        return new BareCalls(client, answer.Container, (await client.ResolveImageAsync(image, CancellationToken.None)).ChainId);
    }

    public async Task CreateAsync(string id, string folder)
    {
        var record = model.Clone();
        (record.Id, record.SnapshotKey, record.CreatedAt, record.UpdatedAt) = (id, id, null, null);
        // A cgroup of its own.
        record.Spec = new Any { TypeUrl = model.Spec.TypeUrl, Value = ByteString.CopyFromUtf8(model.Spec.Value.ToStringUtf8().Replace($"/{model.Id}\"", $"/{id}\"", StringComparison.Ordinal)) };
        var (stdout, stderr) = (Path.Combine(folder, id + ".out"), Path.Combine(folder, id + ".err"));
        await client.Services.Containers.CreateAsync(new CreateContainerRequest { Container = record }, Call());
        var mounts = await client.Services.Snapshots.PrepareAsync(new PrepareSnapshotRequest { Snapshotter = record.Snapshotter, Key = id, Parent = chainId }, Call());
        foreach (var file in new[] { stdout, stderr }) await File.WriteAllBytesAsync(file, []); // the shim opens files that are there
        var task = new CreateTaskRequest { ContainerId = id, Stdout = "file://" + stdout, Stderr = "file://" + stderr };
        task.Rootfs.AddRange(mounts.Mounts);
        await client.Services.Tasks.CreateAsync(task, Call());
        await client.Services.Tasks.StartAsync(new StartRequest { ContainerId = id }, Call());
    }

    public async Task DestroyAsync(string id)
    {
        using var wait = client.Services.Tasks.WaitAsync(new WaitRequest { ContainerId = id }, Call());
        await client.Services.Tasks.KillAsync(new KillRequest { ContainerId = id, Signal = 9, All = true }, Call());
        await wait.ResponseAsync;
        await client.Services.Tasks.DeleteAsync(new DeleteTaskRequest { ContainerId = id }, Call());
        await client.Services.Snapshots.RemoveAsync(new RemoveSnapshotRequest { Snapshotter = model.Snapshotter, Key = id }, Call());
        await client.Services.Containers.DeleteAsync(new DeleteContainerRequest { Id = id }, Call());
    }

    private CallOptions Call() => client.Call(CancellationToken.None);
}
