namespace Reconciler.Core.Ports;

public enum RuntimeErrorKind
{
    /// <summary>The runtime does not answer: state is unknown, try again.</summary>
    Unavailable,

    /// <summary>It went before us; for a removal this is success.</summary>
    NotFound,

    /// <summary>The world is not as the plan assumed: observe again at once, no failure.</summary>
    Conflict,

    /// <summary>It failed and may work later: registry away, disk full.</summary>
    Failed,

    /// <summary>It will fail until someone changes the declaration or the node: no such user, refused mount.</summary>
    Refused,
}

/// <summary>What a runtime verb could not do. <see cref="Reason"/> is the CamelCase word that <c>get</c> shows.</summary>
public sealed class RuntimeException(RuntimeErrorKind kind, string reason, string message, Exception? inner = null)
    : Exception(message, inner)
{
    public RuntimeErrorKind Kind { get; } = kind;

    public string Reason { get; } = reason;
}
