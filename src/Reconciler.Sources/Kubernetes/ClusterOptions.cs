namespace Reconciler.Sources.Kubernetes;

/// <summary>Which API server, and as whom.</summary>
public sealed record ClusterOptions
{
    /// <summary>Path of a kubeconfig; null = the service account of the pod this runs in.</summary>
    public string? Kubeconfig { get; init; }

    /// <summary>Product of the User-Agent header and field manager of what is written.</summary>
    public required string Program { get; init; }

    /// <summary>Version of the User-Agent header.</summary>
    public string Version { get; init; } = "0";
}

/// <summary>The kubeconfig or the service account cannot be used; the message names file and remedy.</summary>
public sealed class ClusterConfigException(string message, Exception? inner = null) : Exception(message, inner);
