using System.Collections.Immutable;
using Reconciler.Core.Model;
using Reconciler.Core.Ports;

namespace Reconciler.Core.Engine;

/// <summary>What all sources declare at one moment; immutable.</summary>
public sealed class DesiredState
{
    private readonly ImmutableArray<string> _sources;
    private readonly ImmutableDictionary<string, SourceState> _states;
    private readonly Dictionary<ResourceKey, (DesiredResource Resource, int Rank)> _declared = [];
    private readonly Dictionary<string, ResourceKey> _imageUsers = new(StringComparer.Ordinal);

    /// <param name="sources">Names of all sources, the one that wins first.</param>
    /// <param name="states">The newest state of each that gave one.</param>
    internal DesiredState(ImmutableArray<string> sources, ImmutableDictionary<string, SourceState> states)
    {
        (_sources, _states) = (sources, states);
        var owners = new Dictionary<(string, string), int>();
        for (var rank = 0; rank < sources.Length; rank++)
        {
            if (!states.TryGetValue(sources[rank], out var state)) continue;
            foreach (var resource in state.Resources.Values) Declare(resource, rank, owners);
        }
        foreach (var (key, (resource, _)) in _declared)
        {
            if (resource is ContainerSpec spec) _imageUsers.TryAdd(spec.Process.Image, key);
        }
    }

    /// <summary>Each source with its newest state, the one that wins first; null = it has not been read yet.</summary>
    public IReadOnlyList<(string Name, SourceState? State)> Sources => [.. _sources.Select(source => (source, _states.GetValueOrDefault(source)))];

    public IReadOnlyCollection<ResourceKey> Keys => _declared.Keys;

    /// <summary>Keys of all declared containers.</summary>
    public IReadOnlyCollection<ResourceKey> Containers => [.. _declared.Keys.Where(key => key.Kind == ResourceKind.Container)];

    /// <summary>Every source has given its first state.</summary>
    public bool IsSynced => _sources.All(_states.ContainsKey);

    /// <summary>Every source is synced and holds nothing back: what is not declared is not wanted.</summary>
    public bool IsSettled => _sources.All(source => _states.TryGetValue(source, out var state) && state.Synced && state.Held.IsEmpty);

    /// <summary>The winning declaration, last good ones included; null = none.</summary>
    public DesiredResource? Declared(ResourceKey key) => _declared.TryGetValue(key, out var entry) ? entry.Resource : null;

    /// <summary>Image reference of a declared container, else null.</summary>
    public string? ImageOf(ResourceKey key) => (Declared(key) as ContainerSpec)?.Process.Image;

    /// <summary>What is wanted for a key, given who declared what is there.</summary>
    /// <param name="key">Container or image.</param>
    /// <param name="label">Source label of the container that is there; empty = none is.</param>
    public Wish Find(ResourceKey key, string label)
    {
        var declared = _declared.TryGetValue(key, out var entry);
        if (key.Kind == ResourceKind.Image) return declared ? new Wish.Declared(entry.Resource) : FindImage(key);
        if (declared) return Outranked(label, entry.Rank) ?? (Wish)new Wish.Declared(entry.Resource);
        return Doubt(key, label) ?? (Wish)Wish.NotDeclared.Instance;
    }

    private Wish FindImage(ResourceKey key)
    {
        if (_imageUsers.TryGetValue(key.Name, out var user)) return new Wish.Retained(user);
        return IsSettled ? Wish.NotDeclared.Instance : new Wish.Doubt("a source is not synced or holds unreadable files: it may need the image");
    }

    /// <summary>The winner says nothing for certain, so the declaration of a lesser source must not replace what the winner had made.</summary>
    private Wish.Doubt? Outranked(string label, int rank)
    {
        for (var better = 0; better < rank; better++)
        {
            if (IsFrom(_sources[better], label) && WhyUnsure(_sources[better], label) is { } why) return new Wish.Doubt(why);
        }
        return null;
    }

    private Wish.Doubt? Doubt(ResourceKey key, string label)
    {
        var waiting = _sources.FirstOrDefault(source => !_states.ContainsKey(source));
        if (waiting is not null) return new Wish.Doubt($"{waiting} has not been read yet");
        var named = label.Length == 0 ? _sources : [.. _sources.Where(source => IsFrom(source, label))];
        if (named.IsEmpty) return new Wish.Doubt($"declared by {label}, which this agent does not read");
        foreach (var source in _sources)
        {
            var held = _states[source].Resources.ContainsKey(key);
            if ((held || named.Contains(source)) && WhyUnsure(source, label) is { } why) return new Wish.Doubt(why);
        }
        return null;
    }

    private string? WhyUnsure(string source, string label)
    {
        if (!_states.TryGetValue(source, out var state)) return $"{source} has not been read yet";
        if (!state.Synced) return state.Doubt.Length > 0 ? $"{source}: {state.Doubt}" : $"{source} cannot be read";
        return state.Held.Contains(label) ? $"{label} cannot be read in full" : null;
    }

    /// <summary>Precedence is by workload: a container that only the lesser source's version has is not declared.</summary>
    private void Declare(DesiredResource resource, int rank, Dictionary<(string, string), int> owners)
    {
        if (resource is ContainerSpec spec)
        {
            var workload = (spec.Namespace, spec.Workload);
            if (owners.TryGetValue(workload, out var owner) && owner != rank) return;
            owners[workload] = rank;
        }
        _declared.TryAdd(resource.Key, (resource, rank));
    }

    private static bool IsFrom(string source, string label) =>
        label.StartsWith(source, StringComparison.Ordinal) && (label.Length == source.Length || label[source.Length] == '/' || source.EndsWith('/'));
}
