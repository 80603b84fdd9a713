using System.Text.Json;

namespace Reconciler.Containerd.Images;

/// <summary>What a manifest or an index points to.</summary>
internal sealed record Descriptor(string MediaType, string Digest, long Size)
{
    public Platform? Platform { get; init; }

    /// <summary>A build attestation: belongs to no platform and is never run.</summary>
    public bool IsAttestation { get; init; }

    /// <summary>The key of its ingest, the same as Go clients use, so that concurrent pullers meet at the lock.</summary>
    public string Ref(string kind) => $"{kind}-{Digest}";

    /// <summary>The kind of a manifest's child, as Go clients name it.</summary>
    public string ChildKind => MediaTypes.IsLayer(MediaType) ? "layer" : "unknown";
}

/// <summary>An index or a manifest, docker's or OCI's.</summary>
internal abstract record ManifestDocument
{
    /// <summary>No snapshotter stacks as many layers, and no index has as many platforms.</summary>
    private const int MaxChildren = 1024;
    private const long MaxBytes = 1L << 50;

    private ManifestDocument()
    {
    }

    public sealed record Index(IReadOnlyList<Descriptor> Manifests) : ManifestDocument
    {
        /// <summary>The children that serve the platform, best first; one without a platform counts and comes last.</summary>
        public IReadOnlyList<Descriptor> For(Platform platform) =>
        [
            .. Manifests
                .Where(child => !child.IsAttestation)
                .Select(child => (Child: child, Distance: child.Platform is null ? int.MaxValue : platform.Distance(child.Platform)))
                .Where(pair => pair.Distance is not null)
                .OrderBy(pair => pair.Distance)
                .Select(pair => pair.Child),
        ];
    }

    public sealed record Manifest(Descriptor Config, IReadOnlyList<Descriptor> Children) : ManifestDocument
    {
        /// <summary>What is unpacked, lowest first.</summary>
        public IReadOnlyList<Descriptor> Layers { get; } = [.. Children.Where(child => MediaTypes.IsLayer(child.MediaType))];
    }

    /// <param name="mediaType">As the registry or the parent said; the body decides where that says nothing.</param>
    /// <exception cref="FormatException">Not a document we can use; the message says why.</exception>
    public static ManifestDocument Parse(ReadOnlyMemory<byte> bytes, string mediaType)
    {
        if (MediaTypes.IsSchema1(mediaType)) throw Schema1();
        try
        {
            using var document = JsonDocument.Parse(bytes, new JsonDocumentOptions { MaxDepth = 32 });
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object) throw new FormatException("the manifest is not a JSON object");
            if (root.TryGetProperty("schemaVersion", out var version) && version.ValueKind == JsonValueKind.Number && version.TryGetInt32(out var number) && number == 1)
                throw Schema1();
            var hasManifests = root.TryGetProperty("manifests", out var manifests);
            var hasLayers = root.TryGetProperty("layers", out var layers);
            var isIndex = MediaTypes.IsIndex(mediaType) || (!MediaTypes.IsManifest(mediaType) && hasManifests);
            // A body that can be read both ways would let two clients see two images under one digest.
            if (hasManifests && (hasLayers || root.TryGetProperty("config", out _))) throw new FormatException("the document is index and manifest at once");
            if (isIndex) return Descriptors(manifests, "manifests") is { Count: > 0 } children ? new Index(children) : throw new FormatException("the index names no manifest");
            return root.TryGetProperty("config", out var config)
                ? new Manifest(ReadDescriptor(config, "config"), Descriptors(layers, "layers"))
                : throw new FormatException("the manifest has no config");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException) // the latter for texts that are not Unicode
        {
            throw new FormatException("the manifest is not JSON: " + e.Message, e);
        }
    }

    private static FormatException Schema1() =>
        new("the image has a schema 1 manifest, which containerd 2 removed; push it again with a current tool");

    private static List<Descriptor> Descriptors(JsonElement array, string field)
    {
        if (array.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null) return [];
        if (array.ValueKind != JsonValueKind.Array) throw new FormatException($"{field} is not a list");
        var list = new List<Descriptor>();
        if (array.GetArrayLength() > MaxChildren) throw new FormatException($"{field} has {array.GetArrayLength()} entries, and {MaxChildren} are the most");
        foreach (var item in array.EnumerateArray()) list.Add(ReadDescriptor(item, $"{field}[{list.Count}]"));
        return list;
    }

    private static Descriptor ReadDescriptor(JsonElement item, string field)
    {
        if (item.ValueKind != JsonValueKind.Object) throw new FormatException($"{field} is not a descriptor");
        var digest = Text(item, "digest");
        if (!ImageReference.IsDigest(digest)) throw new FormatException($"{field}.digest is not a sha256 or sha512 digest");
        if (!item.TryGetProperty("size", out var size) || size.ValueKind != JsonValueKind.Number || !size.TryGetInt64(out var bytes) || bytes is < 0 or > MaxBytes)
            throw new FormatException($"{field}.size is not a number of bytes");
        var hasPlatform = item.TryGetProperty("platform", out var platform) && platform.ValueKind == JsonValueKind.Object;
        var attestation = hasPlatform && Text(platform, "os") == "unknown" && Text(platform, "architecture") == "unknown";
        return new Descriptor(Text(item, "mediaType"), digest, bytes)
        {
            Platform = hasPlatform ? Platform.Create(Text(platform, "os"), Text(platform, "architecture"), Text(platform, "variant")) : null,
            IsAttestation = attestation || (item.TryGetProperty("annotations", out var notes) && notes.ValueKind == JsonValueKind.Object
                && Text(notes, "vnd.docker.reference.type") == "attestation-manifest"),
        };
    }

    private static string Text(JsonElement item, string name) =>
        item.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString()! : "";
}
