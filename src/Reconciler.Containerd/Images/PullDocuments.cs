using Reconciler.Containerd.Registries;

namespace Reconciler.Containerd.Images;

/// <summary>Manifests and configs of one pull: from the content store where they are there, else from the registry into it.</summary>
internal sealed class PullDocuments(PullShared shared, RepositoryHosts hosts, BlobFetcher fetcher, PullProgress progress)
{
    public async Task<ManifestDocument> ManifestAsync(Descriptor descriptor, CancellationToken cancellation)
    {
        if (MediaTypes.IsSchema1(descriptor.MediaType)) return ManifestDocument.Parse(default, descriptor.MediaType);
        if (descriptor.Size > RegistryRepository.MaxManifestBytes) throw new FormatException($"manifest {descriptor.Digest} is larger than 4 MiB");
        var kind = MediaTypes.IsIndex(descriptor.MediaType) ? "index" : "manifest";
        progress.Set(descriptor.Ref(kind), "waiting", descriptor.Size);
        var bytes = await shared.Client.ReadContentAsync(descriptor.Digest, cancellation) is { } present
            ? present
            : (await hosts.ManifestAsync(descriptor.Digest, cancellation)).Bytes;
        CheckSize(descriptor, bytes);
        var document = ManifestDocument.Parse(bytes, descriptor.MediaType);
        await PutAsync(kind, descriptor, bytes, ContentLabels.Children(document), cancellation);
        return document;
    }

    public async Task<byte[]> BlobAsync(string kind, Descriptor descriptor, int limit, CancellationToken cancellation)
    {
        progress.Set(descriptor.Ref(kind), "waiting", descriptor.Size);
        if (descriptor.Size > limit) throw new FormatException($"{kind} {descriptor.Digest} is larger than {limit / 1024 / 1024} MiB");
        var bytes = await shared.Client.ReadContentAsync(descriptor.Digest, cancellation) ?? await hosts.SmallBlobAsync(descriptor.Digest, limit, cancellation);
        CheckSize(descriptor, bytes);
        await PutAsync(kind, descriptor, bytes, [], cancellation);
        return bytes;
    }

    private async Task PutAsync(string kind, Descriptor descriptor, byte[] bytes, Dictionary<string, string> labels, CancellationToken cancellation)
    {
        var origin = ContentLabels.Origin(hosts.Origin);
        labels[origin.Key] = origin.Value;
        var existed = await fetcher.PutAsync(kind, descriptor, bytes, labels, cancellation);
        if (!existed) progress.Advance(descriptor.Ref(kind), bytes.Length);
        progress.Set(descriptor.Ref(kind), existed ? "exists" : "done");
    }

    private static void CheckSize(Descriptor descriptor, byte[] bytes)
    {
        if (bytes.Length != descriptor.Size)
            throw new PullException(PullErrorKind.DigestMismatch, $"{descriptor.Digest} has {bytes.Length} bytes, and {descriptor.Size} were announced");
    }
}
