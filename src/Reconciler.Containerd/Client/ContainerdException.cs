namespace Reconciler.Containerd;

/// <summary>The failures with a meaning of their own. The numbers are part of the contract.</summary>
public enum ContainerdError
{
    /// <summary>No container record with this id.</summary>
    ContainerNotfound = 0,

    /// <summary>The container has no task.</summary>
    TaskNotfound = 1,

    /// <summary>No image record with this name.</summary>
    ImageNotfound = 2,

    /// <summary>Another operation on this id is under way.</summary>
    TrylockFailed = 3,

    /// <summary>A wait reached its limit.</summary>
    Timeout = 4,
}

/// <summary>A failed operation on containerd. A cancelled one throws <see cref="OperationCanceledException"/>.</summary>
public class ContainerdException : Exception
{
    /// <summary>Makes an exception without a message of its own.</summary>
    public ContainerdException()
    {
    }

    /// <summary>Makes an exception with a message.</summary>
    public ContainerdException(string message)
        : base(message)
    {
    }

    /// <summary>Makes an exception with a message and its cause.</summary>
    public ContainerdException(string message, Exception? innerException)
        : base(message, innerException)
    {
    }

    /// <summary>Makes an exception with one of the known meanings.</summary>
    public ContainerdException(ContainerdError code, string message, Exception? innerException = null)
        : base(message, innerException) => Code = code;

    /// <summary>The known meaning; null = none of them.</summary>
    public ContainerdError? Code { get; init; }

    /// <summary>Name of the gRPC status behind it, as <c>NotFound</c>; null = no RPC failed. A lost connection is always <c>Unavailable</c>.</summary>
    public string? RpcStatus { get; init; }

    /// <summary>A container, task or image is not there.</summary>
    public bool IsNotfound => Code is ContainerdError.ContainerNotfound or ContainerdError.TaskNotfound or ContainerdError.ImageNotfound;

    /// <summary>The id is busy.</summary>
    public bool IsTrylockFailed => Code is ContainerdError.TrylockFailed;

    /// <summary>A wait or a call reached its limit.</summary>
    public bool IsTimeout => Code is ContainerdError.Timeout;

    /// <summary>containerd cannot be reached, or the connection broke during the call: nothing is known of its outcome.</summary>
    public bool IsUnavailable => RpcStatus == "Unavailable";
}
