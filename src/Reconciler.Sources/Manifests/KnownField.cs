namespace Reconciler.Sources.Manifests;

/// <summary>What a reader asked of one field: what the schema of the cluster must say of it, too.</summary>
/// <param name="Path">From the document's root; <c>[0]</c> where the reader saw the first entry of a list.</param>
/// <param name="Type">As in OpenAPI; <c>list</c> with the type of its entries, <c>map</c> for free keys to strings, <c>int-or-string</c>.</param>
internal sealed record KnownField(string Path, string Type)
{
    public bool Required { get; init; }

    /// <summary>The only values; empty = any.</summary>
    public IReadOnlyList<string> Words { get; init; } = [];

    /// <summary>Of an integer; null = no bound, or not an integer.</summary>
    public (long Min, long Max)? Range { get; init; }

    /// <summary>Most entries of a list or map, or characters of a string; null = no bound.</summary>
    public int? Max { get; init; }

    /// <summary>What an absent field means, as JSON; null = absent is a state of its own.</summary>
    public string? Default { get; init; }
}
