using System.Collections.Immutable;
using Reconciler.Core.Model;

namespace Reconciler.Core.Ports;

/// <summary>A place that declares what the node should run.</summary>
public interface IDesiredSource
{
    /// <summary>The prefix of the source labels it writes: <c>file:FLAG</c> or <c>kubernetes</c>.</summary>
    string Name { get; }

    /// <summary>Complete states, each replacing the one before; the first as soon as anything is known. Ends only by cancellation.</summary>
    IAsyncEnumerable<SourceState> WatchAsync(CancellationToken cancellation);
}

/// <summary>All that a source declares at one moment.</summary>
public sealed record SourceState
{
    /// <summary>The source's <see cref="IDesiredSource.Name"/>.</summary>
    public required string Source { get; init; }

    /// <summary>False = this is the last good state (or nothing yet); the source itself cannot be read. No removals by it.</summary>
    public required bool Synced { get; init; }

    /// <summary>Why it is not synced; empty when it is.</summary>
    public string Doubt { get; init; } = "";

    /// <summary>When the source noticed what is new in it; null = it does not say.</summary>
    public DateTimeOffset? NoticedAt { get; init; }

    public ImmutableDictionary<ResourceKey, DesiredResource> Resources { get; init; } = ImmutableDictionary<ResourceKey, DesiredResource>.Empty;

    /// <summary>Source labels of which a part could not be read: nothing that carries one of them is removed.</summary>
    public ImmutableHashSet<string> Held { get; init; } = [];

    public ImmutableArray<Problem> Problems { get; init; } = [];
}

/// <summary>Why a document was refused, or a remark on an accepted one.</summary>
/// <param name="File">Path as the user gave it.</param>
/// <param name="Line">From 1; 0 = the file as a whole.</param>
/// <param name="Field">Field path, e.g. spec.containers[0].image; may be empty.</param>
/// <param name="Message">What is wrong.</param>
/// <param name="Remedy">What would be right.</param>
/// <param name="Warning">The document is accepted all the same.</param>
public sealed record Problem(string File, int Line, string Field, string Message, string Remedy, bool Warning = false)
{
    public override string ToString()
    {
        var place = Line > 0 ? $"{File}:{Line}" : File;
        var field = Field.Length > 0 ? $" {Field}:" : "";
        var remedy = Remedy.Length > 0 ? $" ({Remedy})" : "";
        return $"{place}:{field} {Message}{remedy}";
    }
}
