using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;

namespace Reconciler.Agent.Cluster;

/// <summary>Reading of objects whose schema the API server has checked: what is absent or of another type is empty.</summary>
internal static class JsonFields
{
    public static JsonElement Find(this JsonElement parent, string name) =>
        parent.ValueKind == JsonValueKind.Object && parent.TryGetProperty(name, out var value) ? value : default;

    public static string Text(this JsonElement parent, string name) => parent.Find(name) is { ValueKind: JsonValueKind.String } value ? value.GetString()! : "";

    public static bool Flag(this JsonElement parent, string name) => parent.Find(name).ValueKind == JsonValueKind.True;

    public static long? Number(this JsonElement parent, string name) =>
        parent.Find(name) is { ValueKind: JsonValueKind.Number } value && value.TryGetInt64(out var number) ? number : null;

    public static DateTimeOffset? Time(this JsonElement parent, string name) =>
        DateTimeOffset.TryParse(parent.Text(name), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time) ? time : null;

    public static IEnumerable<JsonElement> Items(this JsonElement parent, string name) =>
        parent.Find(name) is { ValueKind: JsonValueKind.Array } list ? list.EnumerateArray() : [];

    public static ImmutableSortedDictionary<string, string> Map(this JsonElement parent, string name) =>
        parent.Find(name) is { ValueKind: JsonValueKind.Object } map
            ? map.EnumerateObject().Where(member => member.Value.ValueKind == JsonValueKind.String)
                .ToImmutableSortedDictionary(member => member.Name, member => member.Value.GetString()!, StringComparer.Ordinal)
            : ImmutableSortedDictionary.Create<string, string>(StringComparer.Ordinal);
}
