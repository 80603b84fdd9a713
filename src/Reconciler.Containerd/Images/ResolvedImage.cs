namespace Reconciler.Containerd.Images;

/// <summary>An image record followed to its config, for this node's platform.</summary>
/// <param name="Digest">Of the manifest or index the record points to.</param>
/// <param name="ChainId">Name of the snapshot with all its layers; empty = it has none.</param>
internal sealed record ResolvedImage(string Digest, string ConfigDigest, ImageConfig Config, string ChainId);
