using Google.Protobuf.WellKnownTypes;

namespace Reconciler.Containerd;

internal static class Times
{
    /// <summary>Null = not set, which containerd writes as the year 1.</summary>
    public static DateTimeOffset? Read(Timestamp? time) => time is { Seconds: > 0 } ? time.ToDateTimeOffset() : null;
}
