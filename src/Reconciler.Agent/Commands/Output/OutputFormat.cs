using System.Text.Json.Nodes;

namespace Reconciler.Agent.Commands.Output;

internal enum OutputFormat
{
    Table,
    Wide,
    Json,
    Yaml,
    Name,
}

/// <summary>A list in one of the forms of <c>-o</c>.</summary>
internal static class ListOutput
{
    /// <summary>apiVersion, kind and items, as kubectl prints a list.</summary>
    public static string Document(string kind, IEnumerable<JsonObject> items, OutputFormat format)
    {
        var root = new JsonObject
        {
            ["apiVersion"] = "reconciler.dev/v1alpha1",
            ["kind"] = kind,
            ["items"] = new JsonArray([.. items]),
        };
        return format == OutputFormat.Json ? JsonText.Of(root, indented: true) + "\n" : YamlText.Of(root);
    }

    /// <summary>Sets a property that is there only when it says something.</summary>
    public static void SetIf(JsonObject target, string name, string? value)
    {
        if (!string.IsNullOrEmpty(value)) target[name] = value;
    }

    public static void SetIf(JsonObject target, string name, DateTimeOffset? value)
    {
        if (value is { } time) target[name] = time.ToUniversalTime().ToString("yyyy-MM-ddTHH:mm:ss.fffZ", System.Globalization.CultureInfo.InvariantCulture);
    }
}
