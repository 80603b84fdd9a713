using Grpc.Core;

namespace Reconciler.Containerd;

/// <summary>The generated clients of one channel.</summary>
internal sealed class ContainerdServices(CallInvoker invoker)
{
    public Api.Version.Version.VersionClient Version { get; } = new(invoker);

    public Api.Introspection.Introspection.IntrospectionClient Introspection { get; } = new(invoker);

    public Api.Namespaces.Namespaces.NamespacesClient Namespaces { get; } = new(invoker);

    public Api.Leases.Leases.LeasesClient Leases { get; } = new(invoker);

    public Api.Content.Content.ContentClient Content { get; } = new(invoker);

    public Api.Images.Images.ImagesClient Images { get; } = new(invoker);

    public Api.Snapshots.Snapshots.SnapshotsClient Snapshots { get; } = new(invoker);

    public Api.Diff.Diff.DiffClient Diff { get; } = new(invoker);

    public Api.Containers.Containers.ContainersClient Containers { get; } = new(invoker);

    public Api.Tasks.Tasks.TasksClient Tasks { get; } = new(invoker);

    public Api.Events.Events.EventsClient Events { get; } = new(invoker);
}
