using System.Collections.Immutable;

namespace Reconciler.Sources.Kubernetes;

/// <summary>What a reflector knows at one moment.</summary>
/// <param name="Objects">Of the last complete list and all events since; empty before the first.</param>
/// <param name="ResourceVersion">Of the last list, event or bookmark; empty before the first list.</param>
/// <param name="Doubt">Why it may be out of date; empty while the watch is up.</param>
public sealed record ClusterState(ImmutableDictionary<ObjectName, ClusterObject> Objects, string ResourceVersion, string Doubt)
{
    public static readonly ClusterState Nothing = new(ImmutableDictionary<ObjectName, ClusterObject>.Empty, "", "not read yet");

    /// <summary>At least one complete list was read.</summary>
    public bool IsListed => ResourceVersion.Length > 0;
}
