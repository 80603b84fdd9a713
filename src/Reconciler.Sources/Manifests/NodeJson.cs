using System.Buffers;
using System.Globalization;
using System.Text.Json;

namespace Reconciler.Sources.Manifests;

/// <summary>A document as JSON that reads back to the same verdict, aliases written out.</summary>
internal static class NodeJson
{
    public static byte[] Write(ManifestNode root)
    {
        var buffer = new ArrayBufferWriter<byte>(1024);
        using (var json = new Utf8JsonWriter(buffer)) Write(json, root);
        return buffer.WrittenSpan.ToArray();
    }

    private static void Write(Utf8JsonWriter json, ManifestNode node)
    {
        switch (node)
        {
            case MappingNode mapping:
                json.WriteStartObject();
                foreach (var (key, value) in mapping.Entries)
                {
                    json.WritePropertyName(key.Text);
                    Write(json, value);
                }
                json.WriteEndObject();
                break;
            case SequenceNode list:
                json.WriteStartArray();
                foreach (var item in list.Items) Write(json, item);
                json.WriteEndArray();
                break;
            case ScalarNode scalar:
                Write(json, scalar);
                break;
        }
    }

    private static void Write(Utf8JsonWriter json, ScalarNode scalar)
    {
        switch (scalar.Kind)
        {
            case ScalarKind.Null:
                json.WriteNullValue();
                break;
            case ScalarKind.Boolean when scalar.Text.ToLowerInvariant() is "true" or "false":
                json.WriteBooleanValue(scalar.Text[0] is 't' or 'T');
                break;
            case ScalarKind.Integer when long.TryParse(scalar.Text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number):
                json.WriteNumberValue(number);
                break;
            default:
                json.WriteStringValue(scalar.Text);
                break;
        }
    }
}
