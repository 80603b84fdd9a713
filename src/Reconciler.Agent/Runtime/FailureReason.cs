namespace Reconciler.Agent.Runtime;

/// <summary>Reasons that a failed action shows in <c>get</c>, conditions and events; docs/cluster.md says what they mean.</summary>
internal static class FailureReason
{
    public const string ContainerdUnavailable = "ContainerdUnavailable";
    public const string DiskFull = "DiskFull";
    public const string Failed = "Failed";
    public const string Invalid = "Invalid";

    public const string ImageNotFound = "ImageNotFound";
    public const string RegistryUnauthorized = "RegistryUnauthorized";
    public const string RegistryUnreachable = "RegistryUnreachable";
    public const string DigestMismatch = "DigestMismatch";
    public const string ImagePlatformMissing = "ImagePlatformMissing";
    public const string ImageInvalid = "ImageInvalid";
    public const string ImagePullFailed = "ImagePullFailed";
    public const string NotManaged = "NotManaged";

    public const string CommandNotFound = "CommandNotFound";
    public const string CommandNotExecutable = "CommandNotExecutable";
    public const string UserNotFound = "UserNotFound";
    public const string MountSourceMissing = "MountSourceMissing";
    public const string MountSourceWrongType = "MountSourceWrongType";
    public const string MountFailed = "MountFailed";
    public const string StartFailed = "StartFailed";
    public const string StopFailed = "StopFailed";
}
