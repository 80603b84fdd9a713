using System.Text;
using System.Text.Json.Nodes;

namespace Reconciler.Agent.Commands.Output;

/// <summary>Writes a JSON tree as YAML. Every string that YAML could read as something else is quoted as in JSON, which YAML contains.</summary>
internal static class YamlText
{
    public static string Of(JsonNode root)
    {
        var text = new StringBuilder();
        Write(text, root, 0, afterDash: true);
        return text.ToString();
    }

    private static void Write(StringBuilder text, JsonNode? node, int indent, bool afterDash)
    {
        switch (node)
        {
            case JsonObject { Count: > 0 } map:
                foreach (var (key, value) in map)
                {
                    if (!afterDash) text.Append(' ', indent);
                    afterDash = false;
                    text.Append(Scalar(JsonValue.Create(key))).Append(':');
                    WriteValue(text, value, indent, value is JsonArray ? indent : indent + 2);
                }
                break;
            case JsonArray { Count: > 0 } list:
                foreach (var item in list)
                {
                    if (!afterDash) text.Append(' ', indent);
                    afterDash = false;
                    text.Append("- ");
                    Write(text, item, indent + 2, afterDash: true);
                }
                break;
            default:
                text.Append(Scalar(node)).Append('\n');
                break;
        }
    }

    private static void WriteValue(StringBuilder text, JsonNode? value, int indent, int childIndent)
    {
        if (value is JsonObject { Count: > 0 } or JsonArray { Count: > 0 })
        {
            text.Append('\n');
            Write(text, value, childIndent, afterDash: false);
            return;
        }
        text.Append(' ');
        Write(text, value, indent, afterDash: true);
    }

    private static string Scalar(JsonNode? node) => node switch
    {
        null => "null",
        JsonObject => "{}",
        JsonArray => "[]",
        JsonValue value when value.GetValueKind() == System.Text.Json.JsonValueKind.String =>
            value.GetValue<string>() is var plain && IsPlain(plain) ? plain : JsonText.Of(value),
        _ => JsonText.Of(node),
    };

    /// <summary>Letters first, then nothing that has a meaning: no indicator, no colon, no blank, none of YAML's words.</summary>
    private static bool IsPlain(string text)
    {
        if (text.Length == 0 || !char.IsAsciiLetter(text[0])) return false;
        if (text.ToLowerInvariant() is "true" or "false" or "null" or "yes" or "no" or "on" or "off" or "y" or "n") return false;
        return text.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-' or '/');
    }
}
