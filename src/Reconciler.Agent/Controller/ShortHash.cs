using System.Security.Cryptography;
using System.Text.Json;

namespace Reconciler.Agent.Controller;

/// <summary>Ten letters and digits for names and labels, without vowels so that they spell nothing.</summary>
internal static class ShortHash
{
    public const int Length = 10;

    private const string Letters = "bcdfghjklmnpqrstvwxz2456789";

    public static string Of(ReadOnlySpan<byte> content) => string.Create(Length, SHA256.HashData(content), (text, hash) =>
    {
        for (var i = 0; i < text.Length; i++) text[i] = Letters[(hash[2 * i] << 8 | hash[2 * i + 1]) % Letters.Length];
    });

    /// <summary>Of a JSON value, whatever the order of its members.</summary>
    public static string Of(JsonElement value)
    {
        var buffer = new System.Buffers.ArrayBufferWriter<byte>(1024);
        using (var json = new Utf8JsonWriter(buffer)) WriteSorted(value, json);
        return Of(buffer.WrittenSpan);
    }

    private static void WriteSorted(JsonElement value, Utf8JsonWriter json)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                json.WriteStartObject();
                foreach (var member in value.EnumerateObject().OrderBy(member => member.Name, StringComparer.Ordinal))
                {
                    json.WritePropertyName(member.Name);
                    WriteSorted(member.Value, json);
                }
                json.WriteEndObject();
                break;
            case JsonValueKind.Array:
                json.WriteStartArray();
                foreach (var item in value.EnumerateArray()) WriteSorted(item, json);
                json.WriteEndArray();
                break;
            default:
                value.WriteTo(json);
                break;
        }
    }
}
