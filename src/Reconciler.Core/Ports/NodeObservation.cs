using System.Collections.Immutable;
using Reconciler.Core.Model;

namespace Reconciler.Core.Ports;

/// <summary>The whole node at one moment; only what is ours, and every image record of our namespace.</summary>
public sealed record NodeObservation(ImmutableDictionary<ResourceKey, Actual> Resources)
{
    public static readonly NodeObservation Empty = new(ImmutableDictionary<ResourceKey, Actual>.Empty);

    /// <summary>Groups flat lists by key, newest incarnation first, and works out who uses which image.</summary>
    public static NodeObservation From(IEnumerable<ActualContainer> containers, IEnumerable<ActualImage> images)
    {
        var records = images.ToList();
        var digests = records.Select(image => image.Digest).ToHashSet(StringComparer.Ordinal);
        var users = new Dictionary<string, HashSet<ResourceKey>>(StringComparer.Ordinal);
        var byKey = new Dictionary<ResourceKey, List<ActualContainer>>();
        foreach (var container in containers)
        {
            Slot(byKey, container.Key).Add(container with { ImagePresent = digests.Contains(container.ImageDigest) });
            Slot(users, container.ImageReference).Add(container.Key);
            Slot(users, container.ImageDigest).Add(container.Key);
        }
        var resources = ImmutableDictionary.CreateBuilder<ResourceKey, Actual>();
        foreach (var (key, list) in byKey)
        {
            list.Sort(NewestFirst);
            resources[key] = new Actual(list.ToEquatableArray(), null);
        }
        foreach (var image in records)
        {
            var usedBy = Users(users, image.Reference).Union(Users(users, image.Digest)).OrderBy(key => key.ToString(), StringComparer.Ordinal);
            resources[ResourceKey.Image(image.Reference)] = new Actual([], image with { UsedBy = usedBy.ToEquatableArray() });
        }
        return new NodeObservation(resources.ToImmutable());
    }

    /// <summary>One key as this observation has it.</summary>
    /// <param name="key">Container or image.</param>
    /// <param name="image">The reference to look up beside a container; null = none.</param>
    public Actual Find(ResourceKey key, string? image)
    {
        var actual = Resources.GetValueOrDefault(key, Actual.Nothing);
        return image is null ? actual : actual with { Image = Resources.GetValueOrDefault(ResourceKey.Image(image))?.Image };
    }

    private static int NewestFirst(ActualContainer left, ActualContainer right) =>
        (right.Incarnation, right.CreatedAt, right.Id).CompareTo((left.Incarnation, left.CreatedAt, left.Id));

    private static IEnumerable<ResourceKey> Users(Dictionary<string, HashSet<ResourceKey>> users, string name) =>
        users.TryGetValue(name, out var keys) ? keys : [];

    private static TItems Slot<TKey, TItems>(Dictionary<TKey, TItems> map, TKey key)
        where TKey : notnull
        where TItems : new()
    {
        if (!map.TryGetValue(key, out var items)) map[key] = items = new TItems();
        return items;
    }
}
