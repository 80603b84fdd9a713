namespace Reconciler.Sources.Kubernetes;

/// <summary>The API server refused a request, or no answer came.</summary>
/// <param name="status">HTTP status; 0 = no answer.</param>
/// <param name="reason">Status.reason as <c>Forbidden</c> or <c>Expired</c>; empty where the server gave none.</param>
/// <param name="message">The server's words, or what went wrong on the way.</param>
public sealed class ClusterException(int status, string reason, string message, Exception? inner = null) : Exception(message, inner)
{
    public int Status { get; } = status;

    public string Reason { get; } = reason;

    /// <summary>The server's Retry-After; null = it gave none.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>The version asked for is no longer, or not yet, served: only a new list helps.</summary>
    public bool IsGone => Status == 410;

    public bool IsNotFound => Status == 404;

    public bool IsConflict => Status == 409;
}
