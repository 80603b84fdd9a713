using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Reconciler.Containerd.Api.Containers;
using Reconciler.Containerd.Api.Snapshots;

namespace Reconciler.Containerd;

/// <content>Container records and snapshots.</content>
public sealed partial class ContainerdClient
{
    /// <summary>The container records of the namespace, streamed, without their specs (Containers.ListStream).</summary>
    /// <param name="filters">containerd's filters: alternatives, each with comma-separated conditions, as <c>labels."a.b/c"==v</c>; null or none = all.</param>
    /// <param name="cancellation">Ends the call.</param>
    /// <exception cref="ArgumentException">A filter is malformed.</exception>
    /// <exception cref="ContainerdException">The call failed.</exception>
    public async Task<IReadOnlyList<ContainerInfo>> ListContainersAsync(IReadOnlyList<string>? filters = null, CancellationToken cancellation = default)
    {
        Filters.Require(filters);
        var request = new ListContainersRequest();
        request.Filters.AddRange(filters ?? []);
        var found = new List<ContainerInfo>();
        await StreamAsync(
            options => Services.Containers.ListStream(request, options), "list containers", message => found.Add(ContainerInfo.From(message.Container)), cancellation);
        return found;
    }

    /// <summary>One container record (Containers.Get).</summary>
    /// <exception cref="ContainerdException">ContainerNotfound, or the call failed.</exception>
    public async Task<ContainerInfo> GetContainerAsync(string id, CancellationToken cancellation = default) =>
        ContainerInfo.From(await GetRecordAsync(id, cancellation));

    /// <summary>Sets labels of a container record, each by itself (Containers.Update); an empty value removes one, others stay.</summary>
    /// <param name="id">The container's id.</param>
    /// <param name="labels">The labels to set.</param>
    /// <param name="cancellation">Looked at before the call; the call itself is not cut.</param>
    /// <exception cref="ContainerdException">ContainerNotfound, or the call failed.</exception>
    public async Task UpdateLabelsAsync(string id, IReadOnlyDictionary<string, string> labels, CancellationToken cancellation = default)
    {
        Identifiers.Require(id, nameof(id));
        ArgumentNullException.ThrowIfNull(labels);
        ContainerLabels.Require(labels);
        cancellation.ThrowIfCancellationRequested();
        if (labels.Count == 0) return;
        var request = new UpdateContainerRequest { Container = new Api.Containers.Container { Id = id }, UpdateMask = new FieldMask() };
        foreach (var (key, value) in labels)
        {
            request.Container.Labels[key] = value;
            request.UpdateMask.Paths.Add("labels." + key);
        }
        await UpdateRecordAsync(request);
    }

    /// <summary>
    /// Deletes a container's snapshot and record and ends its watch (Snapshots.Remove, Containers.Delete). A missing one is no error.
    /// </summary>
    /// <param name="id">The container's id.</param>
    /// <param name="cancellation">Looked at before each change; no change is cut.</param>
    /// <exception cref="ContainerdException">It has a task (code null), its processes live on (code Timeout), or a call failed.</exception>
    public async Task DeleteContainerAsync(string id, CancellationToken cancellation = default)
    {
        Identifiers.Require(id, nameof(id));
        var record = await FindRecordAsync(id, cancellation);
        if (record is not null)
        {
            // containerd itself would delete the record and lose sight of the task.
            if (await GetTaskAsync(id, cancellation) is { } task)
                throw new ContainerdException($"container {id} has a task ({task.Status}): delete that first");
            await SettleAsync(id, CgroupsPath(id, OciJson.Read(record.Spec)), cancellation);
            await DeleteRecordAsync(record, cancellation);
        }
        await ForgetAsync(id, cancellation);
    }

    /// <summary>All snapshots of <see cref="ContainerdClientOptions.Snapshotter"/> in the namespace (Snapshots.List).</summary>
    /// <exception cref="ContainerdException">The call failed.</exception>
    public Task<IReadOnlyList<SnapshotInfo>> ListSnapshotsAsync(CancellationToken cancellation = default) => ListSnapshotsAsync(null, cancellation);

    /// <summary>Snapshots of <see cref="ContainerdClientOptions.Snapshotter"/> in the namespace (Snapshots.List).</summary>
    /// <param name="filters">
    /// containerd's filters: alternatives, each with comma-separated conditions on <c>name</c>, <c>parent</c>, <c>kind</c> or a label, as
    /// <c>kind==active,labels."a.b/c"==v</c>; null or none = all.
    /// </param>
    /// <param name="cancellation">Ends the call.</param>
    /// <exception cref="ArgumentException">A filter is malformed.</exception>
    /// <exception cref="ContainerdException">The call failed.</exception>
    public async Task<IReadOnlyList<SnapshotInfo>> ListSnapshotsAsync(IReadOnlyList<string>? filters, CancellationToken cancellation = default)
    {
        Filters.Require(filters);
        var request = new ListSnapshotsRequest { Snapshotter = Options.Snapshotter };
        request.Filters.AddRange(filters ?? []);
        var found = new List<SnapshotInfo>();
        await StreamAsync(
            options => Services.Snapshots.List(request, options), "list snapshots", batch => found.AddRange(batch.Info.Select(Read)), cancellation);
        return found;
    }

    /// <summary>Removes a snapshot (Snapshots.Remove). A missing one is no error.</summary>
    /// <param name="key">Its key or name.</param>
    /// <param name="cancellation">Looked at before the call; the call itself is not cut.</param>
    /// <exception cref="ContainerdException">Others build on it (RpcStatus FailedPrecondition), or the call failed.</exception>
    public Task RemoveSnapshotAsync(string key, CancellationToken cancellation = default) => RemoveSnapshotAsync(Options.Snapshotter, key, cancellation);

    private async Task RemoveSnapshotAsync(string snapshotter, string key, CancellationToken cancellation)
    {
        ArgumentException.ThrowIfNullOrEmpty(key);
        cancellation.ThrowIfCancellationRequested();
        var request = new RemoveSnapshotRequest { Snapshotter = snapshotter, Key = key };
        try
        {
            await CallAsync(options => Services.Snapshots.RemoveAsync(request, options), $"remove snapshot {key}", CancellationToken.None);
        }
        catch (ContainerdException e) when (e.RpcStatus == nameof(StatusCode.NotFound))
        {
            // gone already
        }
    }

    private async Task DeleteRecordAsync(Api.Containers.Container record, CancellationToken cancellation)
    {
        // A record without a snapshot is a state that anyone can finish; a snapshot without a record is nobody's.
        if (record.SnapshotKey.Length > 0) await RemoveSnapshotAsync(record.Snapshotter, record.SnapshotKey, cancellation);
        cancellation.ThrowIfCancellationRequested();
        try
        {
            await CallAsync(
                options => Services.Containers.DeleteAsync(new DeleteContainerRequest { Id = record.Id }, options),
                $"delete container {record.Id}", CancellationToken.None, notFound: ContainerdError.ContainerNotfound);
        }
        catch (ContainerdException e) when (e.IsNotfound)
        {
            // gone already
        }
    }

    private async Task<Api.Containers.Container> GetRecordAsync(string id, CancellationToken cancellation)
    {
        Identifiers.Require(id, nameof(id));
        var answer = await CallAsync(
            options => Services.Containers.GetAsync(new GetContainerRequest { Id = id }, options),
            $"get container {id}", cancellation, notFound: ContainerdError.ContainerNotfound);
        return answer.Container;
    }

    private async Task<Api.Containers.Container?> FindRecordAsync(string id, CancellationToken cancellation)
    {
        try
        {
            return await GetRecordAsync(id, cancellation);
        }
        catch (ContainerdException e) when (e.IsNotfound)
        {
            return null;
        }
    }

    private Task UpdateRecordAsync(UpdateContainerRequest request) => CallAsync(
        options => Services.Containers.UpdateAsync(request, options),
        $"update container {request.Container.Id}", CancellationToken.None, notFound: ContainerdError.ContainerNotfound);

    /// <summary>Reads a server's stream to its end.</summary>
    private async Task StreamAsync<T>(
        Func<CallOptions, AsyncServerStreamingCall<T>> begin, string what, Action<T> take, CancellationToken cancellation)
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        cancellation.ThrowIfCancellationRequested();
        try
        {
            using var call = begin(Call(cancellation));
            while (await call.ResponseStream.MoveNext(cancellation)) take(call.ResponseStream.Current);
        }
        catch (RpcException error)
        {
            throw Failure(error, what, cancellation);
        }
    }

    private static SnapshotInfo Read(Api.Snapshots.Info info) => new(
        info.Name, info.Parent, (SnapshotKind)info.Kind, Times.Read(info.CreatedAt) ?? default, new Dictionary<string, string>(info.Labels, StringComparer.Ordinal));

    private static Api.Containers.Container.Types.Runtime RuntimeOf(ContainerdClientOptions options)
    {
        var runtime = new Api.Containers.Container.Types.Runtime { Name = options.Runtime };
        if (options is { RuntimeBinary: null, SystemdCgroup: false }) return runtime; // a shim other than runc's has options of its own
        var runc = new Api.Runc.Options { BinaryName = options.RuntimeBinary ?? "", SystemdCgroup = options.SystemdCgroup };
        runtime.Options = new Any { TypeUrl = Api.Runc.Options.Descriptor.FullName, Value = runc.ToByteString() };
        return runtime;
    }
}
