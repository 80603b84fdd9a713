using System.Collections.Concurrent;
using Grpc.Core;
using Reconciler.Containerd.Api.Content;

namespace Reconciler.Containerd.Images;

/// <summary>What a target's content says, for one platform.</summary>
internal sealed record ImageContent(Descriptor Manifest, Descriptor Config, ImageConfig Parsed, long Size);

/// <summary>Reads manifests and configs from the content store. Content never changes under its digest, so it is read once.</summary>
internal sealed class ImageReader(ContainerdClient client)
{
    private const int MaxDocumentBytes = 8 * 1024 * 1024;
    private const int MaxCached = 2048;
    private const int MaxDepth = 4;

    private readonly ConcurrentDictionary<string, ImageContent> _known = new(StringComparer.Ordinal);

    /// <summary>Null = a part of it is missing, or it is no image for this platform.</summary>
    /// <exception cref="ContainerdException">containerd failed.</exception>
    public async Task<ImageContent?> FindAsync(Descriptor target, CancellationToken cancellation)
    {
        if (_known.TryGetValue(target.Digest, out var known)) return known;
        try
        {
            if (await FollowAsync(target, Platform.Host, 0, cancellation) is not { } content) return null;
            if (_known.Count >= MaxCached) _known.Clear();
            _known[target.Digest] = content;
            return content;
        }
        catch (FormatException)
        {
            return null;
        }
    }

    private async Task<ImageContent?> FollowAsync(Descriptor descriptor, Platform platform, int depth, CancellationToken cancellation)
    {
        if (depth == MaxDepth || await ReadAsync(descriptor.Digest, cancellation) is not { } bytes) return null;
        switch (ManifestDocument.Parse(bytes, descriptor.MediaType))
        {
            case ManifestDocument.Index index:
                // Only the platform that was pulled has content.
                foreach (var child in index.For(platform))
                    if (await FollowAsync(child, platform, depth + 1, cancellation) is { } content) return content;
                return null;
            case ManifestDocument.Manifest manifest:
                return await ReadAsync(manifest.Config.Digest, cancellation) is { } config
                    ? new ImageContent(descriptor, manifest.Config, ImageConfig.Parse(config), manifest.Config.Size + manifest.Children.Sum(layer => layer.Size))
                    : null;
            default:
                return null;
        }
    }

    /// <summary>A whole blob of at most 8 MiB; null = it is not there.</summary>
    /// <exception cref="FormatException">It is larger.</exception>
    public async Task<byte[]?> ReadAsync(string digest, CancellationToken cancellation)
    {
        try
        {
            using var call = client.Services.Content.Read(new ReadContentRequest { Digest = digest }, client.Call(cancellation));
            using var bytes = new MemoryStream();
            while (await call.ResponseStream.MoveNext(cancellation))
            {
                if (bytes.Length + call.ResponseStream.Current.Data.Length > MaxDocumentBytes) throw new FormatException($"{digest} is larger than 8 MiB");
                bytes.Write(call.ResponseStream.Current.Data.Span);
            }
            return bytes.ToArray();
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.NotFound)
        {
            return null;
        }
        catch (RpcException e)
        {
            throw client.Failure(e, $"read content {digest}", cancellation);
        }
    }
}
