using System.Collections.Immutable;
using Reconciler.Core.Model;
using Reconciler.Core.Ports;
using Reconciler.Sources.Manifests;

namespace Reconciler.Sources.Files;

/// <summary>All manifests of a folder at one moment.</summary>
public sealed record ManifestFolder
{
    /// <summary>In path order, refused ones included.</summary>
    public required ImmutableArray<ManifestDocument> Documents { get; init; }

    /// <summary>Everything found wrong, and warnings.</summary>
    public required ImmutableArray<Problem> Problems { get; init; }

    /// <summary>What the accepted documents declare on this node.</summary>
    public required ImmutableDictionary<ResourceKey, DesiredResource> Resources { get; init; }

    /// <summary>The same as a source's state, for planning.</summary>
    public required SourceState State { get; init; }

    internal static ManifestFolder Read(string path, ManifestOptions options)
    {
        var flag = FolderSource.Trim(path);
        var cache = new FileCache(FolderSource.PrefixOf(flag), options, TimeProvider.System);
        var listing = File.Exists(flag)
            ? new FolderListing { Files = [cache.Read(flag, Path.GetFileName(flag))] }
            : new FolderScanner(flag, cache).Scan();
        var (state, _) = new FolderMerge(flag, FolderSource.PrefixOf(flag), options).Merge(listing, FolderMemory.Empty);
        if (state.Doubt.Length > 0) state = state with { Problems = [new Problem(flag, 0, "", state.Doubt, "name a folder of manifests")] };
        return new ManifestFolder
        {
            Documents = [.. listing.Files.SelectMany(file => file.Content.Documents)],
            Problems = state.Problems,
            Resources = state.Resources,
            State = state,
        };
    }
}
