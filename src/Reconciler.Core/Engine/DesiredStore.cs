using System.Collections.Immutable;
using Reconciler.Core.Model;
using Reconciler.Core.Ports;

namespace Reconciler.Core.Engine;

/// <summary>What a new state of a source means for the loop.</summary>
/// <param name="Keys">Whose winning declaration came, went or differs.</param>
/// <param name="Relist">Certainty changed (synced, held, first state): undeclared things have to be judged anew.</param>
public sealed record DesiredChange(IReadOnlyList<ResourceKey> Keys, bool Relist);

/// <summary>Holds the newest state of every source; readers take <see cref="Current"/> and never lock.</summary>
public sealed class DesiredStore
{
    private readonly Lock _lock = new();
    private readonly ImmutableArray<string> _sources;
    private ImmutableDictionary<string, SourceState> _states = ImmutableDictionary<string, SourceState>.Empty;
    private volatile DesiredState _current;

    /// <param name="sources">Names of all sources. Folders win over <c>kubernetes</c>, an earlier folder over a later one.</param>
    public DesiredStore(IEnumerable<string> sources)
    {
        _sources = [.. sources.OrderBy(name => name.StartsWith("kubernetes", StringComparison.Ordinal))];
        _current = new DesiredState(_sources, _states);
    }

    public DesiredState Current => _current;

    /// <summary>Replaces one source's state.</summary>
    /// <exception cref="ArgumentException">The source is not one of the constructor's.</exception>
    public DesiredChange Apply(SourceState state)
    {
        if (!_sources.Contains(state.Source)) throw new ArgumentException($"unknown source {state.Source}", nameof(state));
        lock (_lock)
        {
            var before = _current;
            var previous = _states.GetValueOrDefault(state.Source);
            _states = _states.SetItem(state.Source, state);
            _current = new DesiredState(_sources, _states);
            var keys = before.Keys.Union(_current.Keys).Where(key => before.Declared(key) != _current.Declared(key)).ToList();
            var relist = previous is null || previous.Synced != state.Synced || previous.Doubt != state.Doubt || !previous.Held.SetEquals(state.Held);
            return new DesiredChange(keys, relist);
        }
    }
}
