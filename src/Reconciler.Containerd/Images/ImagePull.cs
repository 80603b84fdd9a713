using System.Runtime.ExceptionServices;
using Reconciler.Containerd.Api.Images;
using Reconciler.Containerd.Api.Types;
using Reconciler.Containerd.Registries;

namespace Reconciler.Containerd.Images;

/// <summary>What is asked for.</summary>
/// <param name="Platform">Null = this node's, and an image without an index is taken as it is.</param>
internal sealed record PullRequest(ImageReference Reference, Platform? Platform, PullOptions Options)
{
    /// <summary>Requests with equal keys have one result.</summary>
    public string Key => string.Join('\n', Options.Labels.OrderBy(label => label.Key, StringComparer.Ordinal)
        .Select(label => $"{label.Key}={label.Value}").Prepend($"{Reference.Name} {Platform} {Options.Unpack}"));
}

/// <summary>One pull: lease, resolve, manifests, layers while they unpack in order, record. Nothing stays of a failed one but whole blobs and their beginnings.</summary>
internal sealed class ImagePull(PullShared shared, PullRequest request, PullProgress progress)
{
    private const int MaxConfigBytes = 8 * 1024 * 1024;
    private const int MaxIndexDepth = 3;

    private ContainerdClient Client => shared.Client;

    /// <exception cref="ContainerdException">The pull failed.</exception>
    public async Task<Image> RunAsync(CancellationToken cancellation)
    {
        try
        {
            using var hosts = await shared.HostsAsync(request.Reference, cancellation);
            cancellation.ThrowIfCancellationRequested();
            await using var lease = await PullLease.CreateAsync(Client);
            var fetcher = new BlobFetcher(shared, hosts, lease, progress);
            return await PullAsync(hosts, fetcher, lease, cancellation);
        }
        catch (FormatException e)
        {
            throw new PullException(PullErrorKind.Invalid, $"image {request.Reference}: {RegistryTransport.Shown(e.Message)}", e);
        }
        catch (ContainerdException e) when (e is not PullException && IsDiskFull(e))
        {
            throw new PullException(PullErrorKind.DiskFull, $"image {request.Reference}: no space is left on the node: {e.Message}", e) { RpcStatus = e.RpcStatus };
        }
    }

    private async Task<Image> PullAsync(RepositoryHosts hosts, BlobFetcher fetcher, PullLease lease, CancellationToken cancellation)
    {
        var documents = new PullDocuments(shared, hosts, fetcher, progress);
        var target = await hosts.ResolveAsync(request.Reference.Digest ?? request.Reference.Tag!, cancellation);
        progress.Image("resolved");
        var top = await documents.ManifestAsync(target, cancellation);
        var manifest = await ManifestAsync(documents, top, 0, cancellation);
        var config = ImageConfig.Parse(await documents.BlobAsync("config", manifest.Config, MaxConfigBytes, cancellation));
        CheckConfig(config, manifest);
        await LayersAsync(fetcher, new Unpacker(shared, lease), manifest, config, cancellation);
        if (request.Options.Unpack && config.ChainId.Length > 0)
        {
            var label = new Dictionary<string, string> { [ContentLabels.Snapshot(Client.Options.Snapshotter)] = config.ChainId };
            await ContentLabels.SetAsync(Client, manifest.Config.Digest, label);
        }
        cancellation.ThrowIfCancellationRequested();
        // Some servers call everything JSON or a stream; containerd's own tools go by the type of the record.
        var known = MediaTypes.IsIndex(target.MediaType) || MediaTypes.IsManifest(target.MediaType)
            ? target
            : target with { MediaType = top is ManifestDocument.Index ? MediaTypes.OciIndex : MediaTypes.OciManifest };
        var blob = new BlobDescriptor { MediaType = known.MediaType, Digest = target.Digest, Size = target.Size };
        var image = await Client.PutImageAsync(request.Reference.Name, blob, request.Options.Labels, lease.Id);
        progress.Image("done");
        return image;
    }

    private async Task<ManifestDocument.Manifest> ManifestAsync(PullDocuments documents, ManifestDocument document, int depth, CancellationToken cancellation)
    {
        switch (document)
        {
            case ManifestDocument.Manifest manifest:
                return manifest;
            case ManifestDocument.Index index when depth < MaxIndexDepth:
                var platform = request.Platform ?? Platform.Host;
                if (index.For(platform) is not [var child, ..])
                    throw new PullException(PullErrorKind.NoPlatform, $"image {request.Reference} is not made for {platform}, only for {RegistryTransport.Shown(Offered(index))}");
                return await ManifestAsync(documents, await documents.ManifestAsync(child, cancellation), depth + 1, cancellation);
            default:
                throw new FormatException($"its indexes are nested more than {MaxIndexDepth} deep");
        }
    }

    private void CheckConfig(ImageConfig config, ManifestDocument.Manifest manifest)
    {
        if (config.DiffIds.Count != manifest.Layers.Count)
            throw new FormatException($"the manifest has {manifest.Layers.Count} layers of known types, the config has {config.DiffIds.Count} diff ids");
        if (request.Platform is { } wanted && config.Os.Length > 0 && config.Architecture.Length > 0
            && Platform.Create(config.Os, config.Architecture, config.Variant) is var made && wanted.Distance(made) is null)
            throw new PullException(PullErrorKind.NoPlatform, $"image {request.Reference} is not made for {wanted}, only for {RegistryTransport.Shown(made.ToString())}");
    }

    private async Task LayersAsync(BlobFetcher fetcher, Unpacker unpacker, ManifestDocument.Manifest manifest, ImageConfig config, CancellationToken cancellation)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using var slots = new SemaphoreSlim(Client.Options.Registry.MaxParallelDownloads);
        var origin = ContentLabels.Origin(fetcher.Origin);
        foreach (var child in manifest.Children) progress.Set(child.Ref(child.ChildKind), "waiting", child.Size);
        ExceptionDispatchInfo? first = null;
        var fetches = manifest.Children.DistinctBy(child => child.Digest).ToDictionary(child => child.Digest, child => GuardAsync(() => FetchAsync(child)), StringComparer.Ordinal);
        var unpack = request.Options.Unpack ? GuardAsync(UnpackAsync) : Task.CompletedTask;
        await Task.WhenAll(fetches.Values.Append(unpack));
        first?.Throw();

        // The first failure stops the rest; it is thrown once all of them have ended.
        async Task GuardAsync(Func<Task> work)
        {
            try
            {
                await work();
            }
#pragma warning disable CA1031 // rethrown by the caller
            catch (Exception e)
#pragma warning restore CA1031
            {
                if (e is not OperationCanceledException || cancellation.IsCancellationRequested) Interlocked.CompareExchange(ref first, ExceptionDispatchInfo.Capture(e), null);
                await stop.CancelAsync();
            }
        }

        async Task FetchAsync(Descriptor child)
        {
            await slots.WaitAsync(stop.Token);
            try
            {
                await fetcher.FetchAsync(child.ChildKind, child, new Dictionary<string, string> { [origin.Key] = origin.Value }, stop.Token);
            }
            finally
            {
                slots.Release();
            }
        }

        async Task UnpackAsync() => await new LayerQueue(unpacker, Client, progress, Steps(manifest, config)).RunAsync(
            async step =>
            {
                await fetches[step.Layer.Digest];
                stop.Token.ThrowIfCancellationRequested(); // a failed fetch ends without an exception of its own
            },
            stop.Token);
    }

    private static List<LayerStep> Steps(ManifestDocument.Manifest manifest, ImageConfig config)
    {
        var chain = ImageConfig.ChainIds(config.DiffIds);
        return [.. manifest.Layers.Select((layer, i) => new LayerStep(layer, config.DiffIds[i], chain[i], i == 0 ? "" : chain[i - 1]))];
    }

    private static string Offered(ManifestDocument.Index index) =>
        string.Join(", ", index.Manifests.Where(child => !child.IsAttestation && child.Platform is not null).Select(child => child.Platform!.ToString()).Distinct().Take(20));

    private static bool IsDiskFull(ContainerdException error) =>
        error.Message.Contains("no space left on device", StringComparison.OrdinalIgnoreCase) || error.Message.Contains("disk quota exceeded", StringComparison.OrdinalIgnoreCase);
}
