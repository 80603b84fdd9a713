using Google.Protobuf.WellKnownTypes;
using Reconciler.Containerd.Api.Containers;
using Reconciler.Containerd.Api.Tasks;

namespace Reconciler.Containerd;

/// <content>What running containers use and may use.</content>
public sealed partial class ContainerdClient
{
    /// <summary>Freezes all processes of a container (Tasks.Pause) until <see cref="ResumeAsync"/>; one that is paused already is no error.</summary>
    /// <param name="id">The container's id.</param>
    /// <param name="cancellation">Looked at before the call; the call itself is not cut.</param>
    /// <exception cref="ContainerdException">TaskNotfound; it does not run; or the call failed.</exception>
    public async Task PauseAsync(string id, CancellationToken cancellation = default)
    {
        Identifiers.Require(id, nameof(id));
        cancellation.ThrowIfCancellationRequested();
        try
        {
            await CallAsync(
                options => Services.Tasks.PauseAsync(new PauseTaskRequest { ContainerId = id }, options), $"pause {id}",
                CancellationToken.None, notFound: ContainerdError.TaskNotfound);
        }
        catch (ContainerdException e) when (e is { IsNotfound: false, IsUnavailable: false, IsTimeout: false })
        {
            // It says "unknown" for a paused and for an ended one alike.
            if (await GetTaskAsync(id, cancellation) is not { Status: TaskStatus.Paused }) throw;
        }
    }

    /// <summary>
    /// Changes limits of a container: of the running one at once (Tasks.Get, Update) and then in its record, for the next start (Containers.Get,
    /// Update). Without a live task only the record is changed. If the runtime refuses a value, nothing is changed.
    /// </summary>
    /// <param name="id">The container's id.</param>
    /// <param name="resources">What is null in it stays as it is.</param>
    /// <param name="cancellation">Looked at between the calls; no change is cut.</param>
    /// <exception cref="ArgumentException">There are device rules in it, which cannot be changed, or there is nothing in it.</exception>
    /// <exception cref="ContainerdException">
    /// ContainerNotfound; TrylockFailed: another operation on the id is under way; its spec is not one of the OCI; or a call failed.
    /// </exception>
    public async Task UpdateResourcesAsync(string id, OciResources resources, CancellationToken cancellation = default)
    {
        Identifiers.Require(id, nameof(id));
        ArgumentNullException.ThrowIfNull(resources);
        ResourceUpdate.Require(resources);
        using var held = await LockAsync(id, cancellation);
        var record = await GetRecordAsync(id, cancellation);
        var spec = OciJson.Read(record.Spec) ?? throw new ContainerdException($"container {id}: its spec is not one of the OCI");
        if (await GetTaskAsync(id, cancellation) is { Status: not TaskStatus.Stopped })
        {
            cancellation.ThrowIfCancellationRequested();
            var request = new UpdateTaskRequest { ContainerId = id, Resources = ResourceUpdate.ToAny(resources) };
            await CallAsync(
                options => Services.Tasks.UpdateAsync(request, options), $"update resources of {id}",
                CancellationToken.None, notFound: ContainerdError.TaskNotfound);
        }
        await UpdateRecordAsync(new UpdateContainerRequest
        {
            Container = new Api.Containers.Container { Id = id, Spec = OciJson.ToAny(ResourceUpdate.Apply(spec, resources)) },
            UpdateMask = new FieldMask { Paths = { "spec" } },
        });
    }

    /// <summary>What all running containers of the namespace use (Tasks.Metrics). Those whose shim is gone are missing.</summary>
    /// <exception cref="ContainerdException">The call failed; code Timeout if a shim hangs on containerd 2.x, earlier ones leave that container out.</exception>
    public Task<IReadOnlyList<ContainerMetrics>> ListMetricsAsync(CancellationToken cancellation = default) =>
        ReadMetricsAsync(new MetricsRequest(), "read metrics", cancellation);

    /// <summary>What a running container uses (Tasks.Metrics).</summary>
    /// <exception cref="ContainerdException">
    /// ContainerNotfound; TaskNotfound if it does not run; Timeout: its shim does not answer; its runtime tells nothing; or the call failed.
    /// </exception>
    public async Task<ContainerMetrics> MetricsAsync(string id, CancellationToken cancellation = default)
    {
        Identifiers.Require(id, nameof(id));
        var found = await ReadMetricsAsync(new MetricsRequest { Filters = { $"id=={id}" } }, $"read metrics of {id}", cancellation);
        if (found.FirstOrDefault(metrics => metrics.Id == id) is { } its) return its;
        var task = await GetTaskAsync(id, cancellation);
        // The daemon leaves out those that do not answer.
        if (task is { Status: TaskStatus.Unknown }) throw new ContainerdException(ContainerdError.Timeout, $"container {id}: its shim does not answer");
        if (task is { Status: not TaskStatus.Stopped }) throw new ContainerdException($"container {id}: its runtime tells no metrics");
        await GetContainerAsync(id, cancellation);
        throw new ContainerdException(ContainerdError.TaskNotfound, $"container {id} does not run");
    }

    private async Task<IReadOnlyList<ContainerMetrics>> ReadMetricsAsync(MetricsRequest request, string what, CancellationToken cancellation)
    {
        var answer = await CallAsync(options => Services.Tasks.MetricsAsync(request, options), what, cancellation);
        return [.. answer.Metrics.Select(ContainerMetrics.From).OfType<ContainerMetrics>()];
    }
}
