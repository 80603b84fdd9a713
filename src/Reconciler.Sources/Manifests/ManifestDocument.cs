using System.Collections.Immutable;
using Reconciler.Core.Model;

namespace Reconciler.Sources.Manifests;

/// <summary>One object of our API group in a file, accepted or not.</summary>
public sealed record ManifestDocument
{
    /// <summary>Line on which it begins, from 1.</summary>
    public required int Line { get; init; }

    /// <summary><c>namespace/name</c>; null where a refused document does not tell.</summary>
    public required string? Identity { get; init; }

    /// <summary>A problem other than a warning was found: it declares nothing.</summary>
    public required bool Refused { get; init; }

    /// <summary>Containers and images that it declares on this node; empty when it is refused or meant for other nodes.</summary>
    public ImmutableArray<DesiredResource> Resources { get; init; } = [];

    /// <summary>The accepted document as JSON, to be remembered; empty when refused.</summary>
    internal byte[] Json { get; init; } = [];
}
