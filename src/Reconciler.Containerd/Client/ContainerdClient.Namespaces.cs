using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Reconciler.Containerd.Api.Namespaces;

namespace Reconciler.Containerd;

/// <summary>A containerd namespace.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Labels">All labels.</param>
public sealed record NamespaceInfo(string Name, IReadOnlyDictionary<string, string> Labels);

/// <content>The daemon's namespaces. These calls reach all of them, not only the client's own.</content>
public sealed partial class ContainerdClient
{
    /// <summary>All namespaces of the daemon (Namespaces.List). containerd knows no filter here.</summary>
    /// <exception cref="ContainerdException">The call failed.</exception>
    public async Task<IReadOnlyList<NamespaceInfo>> ListNamespacesAsync(CancellationToken cancellation = default)
    {
        var answer = await CallAsync(options => Services.Namespaces.ListAsync(new ListNamespacesRequest(), options), "list namespaces", cancellation);
        return [.. answer.Namespaces.Select(found => new NamespaceInfo(found.Name, new Dictionary<string, string>(found.Labels, StringComparer.Ordinal)))];
    }

    /// <summary>Makes a namespace (Namespaces.Create). One that nobody made comes to be with the first thing stored in it.</summary>
    /// <param name="name">An identifier of at most 76 characters.</param>
    /// <param name="labels">Null or none = none.</param>
    /// <param name="cancellation">Looked at before the call; the call itself is not cut.</param>
    /// <exception cref="ArgumentException">The name is no identifier, or a label is too long.</exception>
    /// <exception cref="ContainerdException">It is there (RpcStatus AlreadyExists), or the call failed.</exception>
    public async Task CreateNamespaceAsync(string name, IReadOnlyDictionary<string, string>? labels = null, CancellationToken cancellation = default)
    {
        Identifiers.Require(name, nameof(name));
        ContainerLabels.Require(labels ?? new Dictionary<string, string>());
        cancellation.ThrowIfCancellationRequested();
        var request = new CreateNamespaceRequest { Namespace = Wire(name, labels ?? new Dictionary<string, string>()) };
        await CallAsync(options => Services.Namespaces.CreateAsync(request, options), $"create namespace {name}", CancellationToken.None);
    }

    /// <summary>Sets labels of a namespace, each by itself (Namespaces.List, Update); an empty value removes one, others stay.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="labels">The labels to set.</param>
    /// <param name="cancellation">Looked at before the change; the change itself is not cut.</param>
    /// <exception cref="ArgumentException">The name is no identifier, or a label is empty or too long.</exception>
    /// <exception cref="ContainerdException">There is no such namespace (RpcStatus NotFound), or a call failed.</exception>
    public async Task UpdateNamespaceLabelsAsync(string name, IReadOnlyDictionary<string, string> labels, CancellationToken cancellation = default)
    {
        Identifiers.Require(name, nameof(name));
        ArgumentNullException.ThrowIfNull(labels);
        ContainerLabels.Require(labels);
        if (labels.Count == 0) return; // without a mask every label would be meant
        // The update of a namespace that is not there makes it.
        var all = await ListNamespacesAsync(cancellation);
        if (!all.Any(known => known.Name == name))
            throw new ContainerdException($"label namespace {name}: there is none of this name") { RpcStatus = nameof(StatusCode.NotFound) };
        cancellation.ThrowIfCancellationRequested();
        var request = new UpdateNamespaceRequest { Namespace = Wire(name, labels), UpdateMask = new FieldMask() };
        request.UpdateMask.Paths.AddRange(labels.Keys.Select(key => "labels." + key));
        await CallAsync(options => Services.Namespaces.UpdateAsync(request, options), $"label namespace {name}", CancellationToken.None);
    }

    /// <summary>Removes an empty namespace (Namespaces.Delete). A missing one is no error.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="cancellation">Looked at before the call; the call itself is not cut.</param>
    /// <exception cref="ArgumentException">The name is no identifier.</exception>
    /// <exception cref="ContainerdException">
    /// It still has containers, images, content or snapshots (RpcStatus FailedPrecondition; the message says which), or the call failed.
    /// </exception>
    public async Task RemoveNamespaceAsync(string name, CancellationToken cancellation = default)
    {
        Identifiers.Require(name, nameof(name));
        cancellation.ThrowIfCancellationRequested();
        try
        {
            await CallAsync(
                options => Services.Namespaces.DeleteAsync(new DeleteNamespaceRequest { Name = name }, options), $"remove namespace {name}", CancellationToken.None);
        }
        catch (ContainerdException e) when (e.RpcStatus == nameof(StatusCode.NotFound))
        {
            // gone already
        }
    }

    private static Namespace Wire(string name, IReadOnlyDictionary<string, string> labels)
    {
        var wire = new Namespace { Name = name };
        foreach (var (key, value) in labels) wire.Labels[key] = value;
        return wire;
    }
}
