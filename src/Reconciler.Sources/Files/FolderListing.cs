using System.Collections.Immutable;
using Reconciler.Core.Ports;
using Reconciler.Sources.Manifests;

namespace Reconciler.Sources.Files;

/// <summary>A folder as one scan found it.</summary>
internal sealed record FolderListing
{
    /// <summary>Why the folder as a whole cannot be trusted; empty = it can.</summary>
    public string Doubt { get; init; } = "";

    /// <summary>Of the root; null where it cannot be read.</summary>
    public string? Device { get; init; }

    /// <summary>In path order.</summary>
    public ImmutableArray<ScannedFile> Files { get; init; } = [];

    /// <summary>Relative paths, ending with a slash, of folders that could not be read.</summary>
    public ImmutableArray<string> Unread { get; init; } = [];

    /// <summary>About folders; those about files are with the files.</summary>
    public ImmutableArray<Problem> Problems { get; init; } = [];

    /// <summary>Something was being written: look again soon.</summary>
    public bool Again { get; init; }
}

/// <param name="Path">Relative to the folder.</param>
/// <param name="Content">What it says; a file that cannot be read has one refused document.</param>
/// <param name="Unstable">It was written to during every attempt to read it.</param>
internal sealed record ScannedFile(string Path, ManifestFile Content, bool Unstable);

/// <summary>Tells a folder from one that took its place; the times are in it because an inode number is soon used again.</summary>
internal readonly record struct RootIdentity(FileStamp Stamp, string? LinkTarget)
{
    /// <summary>Null = it cannot be reached.</summary>
    public static RootIdentity? Of(string folder) => FileStamp.Of(folder, followLinks: true, out _) is { } stamp
        ? new RootIdentity(stamp, new DirectoryInfo(folder).LinkTarget)
        : null;
}
