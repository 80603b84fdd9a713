using System.Text.Json;

namespace Reconciler.Sources.Manifests;

/// <summary>JSON to the node tree that documents are read from. Not by way of the YAML reader, which takes some strings of JSON otherwise.</summary>
internal static class JsonNodes
{
    /// <exception cref="JsonException">It is not JSON, or nested deeper than 64 levels.</exception>
    public static ManifestNode Read(ReadOnlyMemory<byte> json)
    {
        using var document = JsonDocument.Parse(json);
        return Read(document.RootElement);
    }

    private static ManifestNode Read(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Object => new MappingNode([.. element.EnumerateObject().Select(member => KeyValuePair.Create(Key(member.Name), Read(member.Value)))], 0),
        JsonValueKind.Array => new SequenceNode([.. element.EnumerateArray().Select(Read)], 0),
        JsonValueKind.String => new ScalarNode(element.GetString()!, plain: false, 0),
        _ => new ScalarNode(element.GetRawText(), plain: true, 0),
    };

    private static ScalarNode Key(string name) => new(name, plain: false, 0);
}
