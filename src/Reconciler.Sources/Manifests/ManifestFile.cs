using System.Collections.Immutable;
using Reconciler.Core.Ports;

namespace Reconciler.Sources.Manifests;

/// <summary>What one file says.</summary>
public sealed record ManifestFile
{
    public required ImmutableArray<ManifestDocument> Documents { get; init; }

    public required ImmutableArray<Problem> Problems { get; init; }

    /// <summary>Objects of other API groups, as <c>apiVersion kind</c>.</summary>
    public ImmutableArray<string> Ignored { get; init; } = [];
}
