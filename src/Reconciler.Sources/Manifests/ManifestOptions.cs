namespace Reconciler.Sources.Manifests;

/// <summary>What the verdict on a document depends on besides the document.</summary>
public sealed record ManifestOptions
{
    /// <summary>Documents for other nodes are checked and declare nothing.</summary>
    public required string NodeName { get; init; }

    /// <summary>Sets are expanded against these; kubernetes.io/hostname is the node's name unless given.</summary>
    public IReadOnlyDictionary<string, string> NodeLabels { get; init; } = new Dictionary<string, string>();

    /// <summary>Absolute; mounting it, or what lies above it, takes a privileged container.</summary>
    public string StateDir { get; init; } = "/var/lib/reconciler";

    /// <summary>Judge as the cluster does: spec.nodeName is required.</summary>
    public bool Cluster { get; init; }
}
