using System.Collections.Immutable;
using Reconciler.Core.Model;
using Reconciler.Sources.Manifests;

namespace Reconciler.Sources.Files;

/// <summary>The last good documents of a folder and the device it was on.</summary>
internal sealed record FolderMemory(string? Device, ImmutableSortedDictionary<string, ImmutableArray<GoodDocument>> Files)
{
    public static readonly FolderMemory Empty = new(null, ImmutableSortedDictionary.Create<string, ImmutableArray<GoodDocument>>(StringComparer.Ordinal));

    public ImmutableArray<GoodDocument> Of(string path) => Files.GetValueOrDefault(path, []);

    public bool Equals(FolderMemory? other) =>
        other is not null && Device == other.Device && Files.Count == other.Files.Count
        && Files.Zip(other.Files).All(pair => pair.First.Key == pair.Second.Key && pair.First.Value.SequenceEqual(pair.Second.Value));

    public override int GetHashCode() => Files.Count;
}

/// <summary>A document that was accepted, as text; equal where identity and text are.</summary>
internal sealed class GoodDocument(string identity, byte[] json) : IEquatable<GoodDocument>
{
    private ImmutableArray<DesiredResource> _resources;

    public string Identity => identity;

    public byte[] Json => json;

    public static GoodDocument Of(ManifestDocument document) => new(document.Identity!, document.Json) { _resources = document.Resources };

    /// <summary>What it declares; read from the text when it comes from an earlier run, nothing where the rules have become stricter.</summary>
    public ImmutableArray<DesiredResource> Resources(string source, ManifestOptions options)
    {
        if (_resources.IsDefault) _resources = [.. ManifestReader.ReadFile(".json", json, source, options).Documents.SelectMany(document => document.Resources)];
        return _resources;
    }

    public bool Equals(GoodDocument? other) => other is not null && identity == other.Identity && json.AsSpan().SequenceEqual(other.Json);

    public override bool Equals(object? obj) => Equals(obj as GoodDocument);

    public override int GetHashCode() => identity.GetHashCode(StringComparison.Ordinal);
}
