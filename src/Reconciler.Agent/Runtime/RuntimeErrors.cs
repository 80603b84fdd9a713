using Reconciler.Containerd;
using Reconciler.Core.Ports;

namespace Reconciler.Agent.Runtime;

/// <summary>The client library's failures as the loop's few kinds and the reasons that a person sees.</summary>
internal static class RuntimeErrors
{
    public static RuntimeException Of(ContainerdException error, string what)
    {
        var (kind, reason) = Classify(error);
        return new RuntimeException(kind, reason, $"{what}: {error.Message}", error);
    }

    public static RuntimeException Of(Exception error, string what) => error switch
    {
        RuntimeException known => known,
        ContainerdException known => Of(known, what),
        _ when IsDiskFull(error.Message) => new RuntimeException(RuntimeErrorKind.Failed, FailureReason.DiskFull, $"{what}: {error.Message}", error),
        _ => new RuntimeException(RuntimeErrorKind.Failed, FailureReason.Failed, $"{what}: {error.Message}", error),
    };

    /// <summary>What a create met; runc's text is all there is to go by.</summary>
    public static RuntimeException OfCreate(ContainerdException error, string what)
    {
        var text = error.Message;
        var (kind, reason) = text switch
        {
            _ when Has(text, "executable file not found") => (RuntimeErrorKind.Refused, FailureReason.CommandNotFound),
            _ when Has(text, "exec:") && Has(text, "no such file or directory") => (RuntimeErrorKind.Refused, FailureReason.CommandNotFound),
            _ when Has(text, "exec:") && Has(text, "permission denied") => (RuntimeErrorKind.Refused, FailureReason.CommandNotExecutable),
            _ when Has(text, "exec format error") => (RuntimeErrorKind.Refused, FailureReason.CommandNotExecutable),
            _ when IsUnknownUser(text) => (RuntimeErrorKind.Refused, FailureReason.UserNotFound),
            _ when Has(text, "mounting") && Has(text, "no such file or directory") => (RuntimeErrorKind.Refused, FailureReason.MountSourceMissing),
            _ when Has(text, "mounting") => (RuntimeErrorKind.Failed, FailureReason.MountFailed),
            _ => Classify(error),
        };
        if (reason == FailureReason.Failed) reason = FailureReason.StartFailed;
        return new RuntimeException(kind, reason, $"{what}: {Cause(text)}", error);
    }

    /// <summary>The text from where it says what is wrong; before that each layer names itself.</summary>
    private static string Cause(string text)
    {
        foreach (var layer in (string[])["unable to start container process: ", "runc create failed: ", "failed to create shim task: "])
        {
            var at = text.LastIndexOf(layer, StringComparison.Ordinal);
            if (at >= 0) return text[(at + layer.Length)..];
        }
        return text;
    }

    /// <summary>What a pull met.</summary>
    public static RuntimeException OfPull(ContainerdException error, string what) => error is PullException pull
        ? new RuntimeException(RuntimeErrorKind.Failed, ReasonOf(pull.Kind), $"{what}: {error.Message}", error)
        : Of(error, what);

    private static string ReasonOf(PullErrorKind kind) => kind switch
    {
        PullErrorKind.NotFound => FailureReason.ImageNotFound,
        PullErrorKind.Unauthorized => FailureReason.RegistryUnauthorized,
        PullErrorKind.Unreachable => FailureReason.RegistryUnreachable,
        PullErrorKind.DigestMismatch => FailureReason.DigestMismatch,
        PullErrorKind.NoPlatform => FailureReason.ImagePlatformMissing,
        PullErrorKind.Invalid => FailureReason.ImageInvalid,
        PullErrorKind.DiskFull => FailureReason.DiskFull,
        _ => FailureReason.ImagePullFailed,
    };

    private static (RuntimeErrorKind Kind, string Reason) Classify(ContainerdException error)
    {
        if (error.IsUnavailable || error.IsTimeout) return (RuntimeErrorKind.Unavailable, FailureReason.ContainerdUnavailable);
        if (error.IsTrylockFailed) return (RuntimeErrorKind.Conflict, "Busy");
        if (error.IsNotfound) return (RuntimeErrorKind.NotFound, "NotFound");
        // The shim went in the middle of the call: what is there now decides.
        if (Has(error.Message, "ttrpc: closed") || error.RpcStatus is "AlreadyExists" or "ALREADY_EXISTS") return (RuntimeErrorKind.Conflict, "Changed");
        if (IsDiskFull(error.Message)) return (RuntimeErrorKind.Failed, FailureReason.DiskFull);
        return (RuntimeErrorKind.Failed, FailureReason.Failed);
    }

    private static bool IsDiskFull(string text) => Has(text, "no space left on device") || Has(text, "disk quota exceeded");

    private static bool IsUnknownUser(string text) => Has(text, "unable to find user") || Has(text, "no such user") || Has(text, "no such group")
        || (Has(text, "user") && Has(text, "/etc/passwd")) || (Has(text, "group") && Has(text, "/etc/group"));

    private static bool Has(string text, string part) => text.Contains(part, StringComparison.OrdinalIgnoreCase);
}
