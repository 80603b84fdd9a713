namespace Reconciler.Containerd;

/// <summary>How far one part of a pull is.</summary>
/// <param name="Ref">The image's name, or <c>index-</c>, <c>manifest-</c>, <c>config-</c>, <c>layer-</c> or <c>unknown-</c> and a digest.</param>
/// <param name="Status">
/// The image: resolving, resolved, unpacking, unpacked, done. A part: waiting, downloading, done, exists (was there before), unpacking, unpacked.
/// </param>
/// <param name="Offset">Bytes fetched.</param>
/// <param name="Total">Bytes in all; 0 = not known.</param>
/// <param name="StartedAt">When its transfer began; <see cref="DateTimeOffset.MinValue"/> = it did not.</param>
/// <param name="UpdatedAt">When it last changed; <see cref="DateTimeOffset.MinValue"/> = never.</param>
/// <param name="Code">0, or 500 in the last report of a failed pull.</param>
/// <param name="ErrorMessage">Why the pull failed; empty otherwise.</param>
public sealed record ProgressInfo(
    string Ref, string Status, long Offset, long Total, DateTimeOffset StartedAt, DateTimeOffset UpdatedAt, int Code, string ErrorMessage);
