using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Reconciler.Containerd.Api.Images;
using Reconciler.Containerd.Images;

namespace Reconciler.Containerd;

/// <content>Image records.</content>
public sealed partial class ContainerdClient
{
    private ImageReader? _imageReader;

    private ImageReader ImageReader => LazyInitializer.EnsureInitialized(ref _imageReader, () => new ImageReader(this));

    /// <summary>The image records in containerd's order (Images.List). The content of each new digest is read once (Content.Read).</summary>
    /// <param name="filters">containerd's filters: alternatives, each with comma-separated conditions, as <c>name==x</c>; null or none = all.</param>
    /// <param name="cancellation">Ends the call.</param>
    /// <exception cref="ArgumentException">A filter is malformed.</exception>
    /// <exception cref="ContainerdException">The call failed.</exception>
    public async Task<IReadOnlyList<ImageInfo>> ListImagesAsync(IReadOnlyList<string>? filters = null, CancellationToken cancellation = default)
    {
        Filters.Require(filters);
        var request = new ListImagesRequest();
        request.Filters.AddRange(filters ?? []);
        var answer = await CallAsync(options => Services.Images.ListAsync(request, options), "list images", cancellation);
        var images = new List<ImageInfo>(answer.Images.Count);
        foreach (var image in answer.Images) images.Add(await InfoAsync(image, cancellation));
        return images;
    }

    /// <summary>One image record (Images.Get); null = there is none of this name.</summary>
    /// <param name="name">The exact name of the record.</param>
    /// <param name="cancellation">Ends the call.</param>
    /// <exception cref="ContainerdException">The call failed.</exception>
    public async Task<ImageInfo?> GetImageAsync(string name, CancellationToken cancellation = default)
    {
        try
        {
            return await InfoAsync(await ImageAsync(name, cancellation), cancellation);
        }
        catch (ContainerdException e) when (e.Code == ContainerdError.ImageNotfound)
        {
            return null;
        }
    }

    /// <summary>Removes an image record (Images.Delete). Content and snapshots go with the next garbage collection, if nothing else uses them.</summary>
    /// <param name="name">The exact name of the record.</param>
    /// <param name="synchronous">True = wait until the garbage is collected.</param>
    /// <param name="cancellation">Ends the waiting; the record may be gone all the same.</param>
    /// <exception cref="ContainerdException">ImageNotfound, or the call failed.</exception>
    public async Task RemoveImageAsync(string name, bool synchronous = false, CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        var request = new DeleteImageRequest { Name = name, Sync = synchronous };
        await CallAsync(options => Services.Images.DeleteAsync(request, options), $"remove image {name}", cancellation, Options.Limits.Long, notFound: ContainerdError.ImageNotfound);
    }

    /// <summary>Gives the target of an image record another name (Images.Get, Create, Update). A record of that name is moved to it.</summary>
    /// <param name="source">The exact name of an existing record.</param>
    /// <param name="name">The new name.</param>
    /// <param name="labels">Labels of the new record; on an existing one others stay, and an empty value removes one.</param>
    /// <param name="cancellation">Ends the wait before the change; the change itself is not cut.</param>
    /// <exception cref="ContainerdException">ImageNotfound for the source, or a call failed.</exception>
    public async Task<ImageInfo> TagImageAsync(
        string source, string name, IReadOnlyDictionary<string, string>? labels = null, CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        if (labels is not null) ContainerLabels.Require(labels);
        var image = await ImageAsync(source, cancellation);
        return await InfoAsync(await PutImageAsync(name, image.Target, labels ?? new Dictionary<string, string>(), lease: null), cancellation);
    }

    /// <summary>Sets labels of an image record, each by itself (Images.Get, Update); an empty value removes one, others stay.</summary>
    /// <param name="name">The exact name of the record.</param>
    /// <param name="labels">The labels to set.</param>
    /// <param name="cancellation">Ends the wait before the change; the change itself is not cut.</param>
    /// <exception cref="ContainerdException">ImageNotfound, or a call failed.</exception>
    public async Task UpdateImageLabelsAsync(string name, IReadOnlyDictionary<string, string> labels, CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(labels);
        ContainerLabels.Require(labels);
        cancellation.ThrowIfCancellationRequested();
        if (labels.Count == 0) return;
        // Newer daemons dereference the target even where the mask leaves it out.
        var image = await ImageAsync(name, cancellation);
        var request = new UpdateImageRequest { Image = Record(name, image.Target, labels), UpdateMask = Mask(labels.Keys) };
        await CallAsync(options => Services.Images.UpdateAsync(request, options), $"label image {name}", CancellationToken.None, notFound: ContainerdError.ImageNotfound);
    }

    /// <summary>Whether the image's layers are a committed snapshot of the client's snapshotter (Images.Get, Content.Read, Snapshots.Stat).</summary>
    /// <param name="name">The exact name of the record.</param>
    /// <param name="cancellation">Ends the call.</param>
    /// <exception cref="ContainerdException">ImageNotfound, or a call failed.</exception>
    public async Task<bool> IsUnpackedAsync(string name, CancellationToken cancellation = default)
    {
        var image = await ImageAsync(name, cancellation);
        if (await ImageReader.FindAsync(Target(image), cancellation) is not { } content) return false;
        return content.Parsed.ChainId is not { Length: > 0 } chain || await IsCommittedAsync(chain, cancellation);
    }

    /// <summary>An image record followed to its config for this node's platform (Images.Get; Content.Read once per digest).</summary>
    /// <exception cref="ContainerdException">ImageNotfound: no record, or its content is incomplete or of another platform; or a call failed.</exception>
    internal async Task<ResolvedImage> ResolveImageAsync(string name, CancellationToken cancellation)
    {
        var image = await ImageAsync(name, cancellation);
        var content = await ImageReader.FindAsync(Target(image), cancellation)
            ?? throw new ContainerdException(ContainerdError.ImageNotfound, $"image {name}: its content for {Platform.Host} is incomplete");
        return new ResolvedImage(image.Target.Digest, content.Config.Digest, content.Parsed, content.Parsed.ChainId);
    }

    /// <summary>Creates the record or moves and labels the one that is there; not to be cut.</summary>
    internal async Task<Image> PutImageAsync(string name, Api.Types.BlobDescriptor target, IReadOnlyDictionary<string, string> labels, string? lease)
    {
        var what = $"record image {name}";
        const int attempts = 3; // it may come and go between the two calls
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                var create = new CreateImageRequest { Image = Record(name, target, labels.Where(label => label.Value.Length > 0)) };
                return (await CallAsync(options => Services.Images.CreateAsync(create, options), what, CancellationToken.None, lease: lease)).Image;
            }
            catch (ContainerdException e) when (e.RpcStatus == nameof(StatusCode.AlreadyExists))
            {
            }
            try
            {
                var update = new UpdateImageRequest { Image = Record(name, target, labels), UpdateMask = Mask(labels.Keys) };
                update.UpdateMask.Paths.Add("target");
                return (await CallAsync(options => Services.Images.UpdateAsync(update, options), what, CancellationToken.None, lease: lease)).Image;
            }
            catch (ContainerdException e) when (e.RpcStatus == nameof(StatusCode.NotFound) && attempt < attempts)
            {
            }
        }
    }

    internal async Task<ImageInfo> InfoAsync(Image image, CancellationToken cancellation)
    {
        var content = await ImageReader.FindAsync(Target(image), cancellation);
        return new ImageInfo
        {
            Name = image.Name,
            Digest = image.Target?.Digest ?? "",
            MediaType = image.Target?.MediaType ?? "",
            Size = content?.Size ?? 0,
            Id = content?.Config.Digest ?? "",
            Tag = ImageReference.TryParse(image.Name, out var reference) ? reference.Tag ?? "" : "",
            CreatedAt = content?.Parsed.Created,
            Labels = new Dictionary<string, string>(image.Labels, StringComparer.Ordinal),
        };
    }

    internal async Task<bool> IsCommittedAsync(string chainId, CancellationToken cancellation)
    {
        var request = new Api.Snapshots.StatSnapshotRequest { Snapshotter = Options.Snapshotter, Key = chainId };
        try
        {
            var answer = await CallAsync(options => Services.Snapshots.StatAsync(request, options), $"find snapshot {chainId}", cancellation);
            return answer.Info.Kind == Api.Snapshots.Kind.Committed;
        }
        catch (ContainerdException e) when (e.RpcStatus == nameof(StatusCode.NotFound))
        {
            return false;
        }
    }

    private async Task<Image> ImageAsync(string name, CancellationToken cancellation)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        var request = new GetImageRequest { Name = name };
        return (await CallAsync(options => Services.Images.GetAsync(request, options), $"get image {name}", cancellation, notFound: ContainerdError.ImageNotfound)).Image;
    }

    private static Image Record(string name, Api.Types.BlobDescriptor target, IEnumerable<KeyValuePair<string, string>> labels)
    {
        var image = new Image { Name = name, Target = target };
        foreach (var (key, value) in labels) image.Labels[key] = value;
        return image;
    }

    private static FieldMask Mask(IEnumerable<string> labels)
    {
        var mask = new FieldMask();
        mask.Paths.AddRange(labels.Select(key => "labels." + key));
        return mask;
    }

    private static Descriptor Target(Image image) => new(image.Target?.MediaType ?? "", image.Target?.Digest ?? "", image.Target?.Size ?? 0);
}
