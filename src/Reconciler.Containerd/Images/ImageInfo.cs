namespace Reconciler.Containerd;

/// <summary>An image record and what its content says.</summary>
public sealed record ImageInfo
{
    /// <summary>Name of the record; free text, by convention a reference.</summary>
    public required string Name { get; init; }

    /// <summary>Digest of the manifest or index the record points to.</summary>
    public required string Digest { get; init; }

    /// <summary>Media type of that manifest or index.</summary>
    public required string MediaType { get; init; }

    /// <summary>Bytes of config and compressed layers for this node's platform; 0 = the content is incomplete.</summary>
    public long Size { get; init; }

    /// <summary>Digest of the config; empty = the content is incomplete.</summary>
    public string Id { get; init; } = "";

    /// <summary>The tag in the name; empty where there is none.</summary>
    public string Tag { get; init; } = "";

    /// <summary>When the image was built, if its config says so.</summary>
    public DateTimeOffset? CreatedAt { get; init; }

    /// <summary>Labels of the record.</summary>
    public required IReadOnlyDictionary<string, string> Labels { get; init; }
}
