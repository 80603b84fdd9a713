namespace Reconciler.Containerd;

/// <summary>Why a pull failed, as far as a reaction depends on it.</summary>
public enum PullErrorKind
{
    /// <summary>Anything else: the registry answers with errors, or containerd could not carry it out. Worth another try.</summary>
    Failed = 0,

    /// <summary>The registry does not know the image, or a part of it.</summary>
    NotFound,

    /// <summary>The registry wants credentials, or refuses those it got.</summary>
    Unauthorized,

    /// <summary>The registry does not answer: no such host, refused connection, no trusted certificate, nothing heard for too long.</summary>
    Unreachable,

    /// <summary>What the registry sent is not what its digest says.</summary>
    DigestMismatch,

    /// <summary>The image is not made for the wanted platform.</summary>
    NoPlatform,

    /// <summary>The image, or an answer of the registry, is malformed or of a kind no longer supported.</summary>
    Invalid,

    /// <summary>No space is left on the node.</summary>
    DiskFull,
}

/// <summary>A pull that failed for a reason outside containerd's own, or because the disk is full.</summary>
public sealed class PullException : ContainerdException
{
    /// <summary>Makes an exception without a message of its own.</summary>
    public PullException()
    {
    }

    /// <summary>Makes an exception with a message.</summary>
    public PullException(string message)
        : base(message)
    {
    }

    /// <summary>Makes an exception with a message and its cause.</summary>
    public PullException(string message, Exception? innerException)
        : base(message, innerException)
    {
    }

    /// <summary>Makes an exception of a kind; <see cref="PullErrorKind.NotFound"/> has the code ImageNotfound.</summary>
    public PullException(PullErrorKind kind, string message, Exception? innerException = null)
        : base(message, innerException)
    {
        Kind = kind;
        if (kind == PullErrorKind.NotFound) Code = ContainerdError.ImageNotfound;
    }

    /// <summary>What kind of failure it is.</summary>
    public PullErrorKind Kind { get; }
}
