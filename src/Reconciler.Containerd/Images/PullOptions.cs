namespace Reconciler.Containerd;

/// <summary>How an image is pulled.</summary>
public sealed record PullOptions
{
    /// <summary>Labels put on the image record; an empty value removes one that is there. Others stay.</summary>
    public IReadOnlyDictionary<string, string> Labels { get; init; } = new Dictionary<string, string>();

    /// <summary>os/architecture[/variant]; null = this node's.</summary>
    public string? Platform { get; init; }

    /// <summary>Whether the layers become snapshots of the client's snapshotter.</summary>
    public bool Unpack { get; init; } = true;
}
