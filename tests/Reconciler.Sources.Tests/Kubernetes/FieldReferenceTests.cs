using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Reconciler.Testing;

namespace Reconciler.Sources.Tests.Kubernetes;

/// <summary>docs/fields.md is what the CustomResourceDefinitions say, as a page.</summary>
public sealed class FieldReferenceTests
{
    private const string WriteIt = "RECONCILER_WRITE_SCHEMAS";

    private static readonly string[] Plurals = ["nodeworkloads", "nodeworkloadsets"];

    [Fact]
    public void The_page_is_what_the_definitions_give()
    {
        var file = Path.Combine(Checkout.Root, "docs/fields.md");
        var text = Page();
        if (Environment.GetEnvironmentVariable(WriteIt) is { Length: > 0 }) File.WriteAllText(file, text);

        Assert.True(text == File.ReadAllText(file), $"{file} is not what crds/ give; run this test with {WriteIt}=1 to write it");
    }

    [Fact]
    public void Every_field_says_what_it_is_for()
    {
        var silent = Plurals.SelectMany(plural => Fields(plural, "spec").Concat(Fields(plural, "status"))).Where(field => field.Meaning.Length == 0).Select(field => field.Path);

        Assert.Empty(silent);
    }

    private static string Page()
    {
        var page = new StringBuilder("""
            # Fields

            Made from `crds/` by `FieldReferenceTests`. The reader of a folder takes the same fields with the same bounds and defaults; there `nodeName` may be left out.
            `kubectl explain nodeworkload.spec` says the same in a cluster.

            """);
        foreach (var plural in Plurals)
        {
            var kind = (string)Crd.Read(plural)["spec"]!["names"]!["kind"]!;
            page.Append(CultureInfo.InvariantCulture, $"\n## {kind}\n\n{Crd.Schema(plural)["description"]}\n\n| field | value | meaning |\n|---|---|---|\n");
            foreach (var field in Fields(plural, "spec")) page.Append(CultureInfo.InvariantCulture, $"| `{field.Path}` | {field.Value} | {field.Meaning} |\n");
            page.Append(CultureInfo.InvariantCulture, $"\n### Rules of {kind}\n\n| of | what is refused, or must hold |\n|---|---|\n");
            foreach (var (path, message) in Rules(plural)) page.Append(CultureInfo.InvariantCulture, $"| `{path}` | {message} |\n");
            page.Append(CultureInfo.InvariantCulture, $"\n### Status of {kind}\n\nWritten by the program, never by hand. Conditions and reasons: [cluster.md](cluster.md), [controller.md](controller.md).\n\n| field | value | meaning |\n|---|---|---|\n");
            foreach (var field in Fields(plural, "status")) page.Append(CultureInfo.InvariantCulture, $"| `{field.Path}` | {field.Value} | {field.Meaning} |\n");
        }
        return page.ToString();
    }

    private static IEnumerable<Field> Fields(string plural, string top) =>
        Crd.Schema(plural)["properties"]![top] is JsonObject schema ? Children(top, schema) : [];

    private static IEnumerable<Field> Children(string path, JsonObject schema)
    {
        var required = (schema["required"]?.AsArray() ?? []).Select(name => (string)name!).ToHashSet();
        foreach (var (name, node) in schema["properties"]?.AsObject() ?? [])
        {
            var child = node!.AsObject();
            var inner = child["items"] as JsonObject;
            var here = $"{path}.{name}" + (inner is null ? "" : "[]");
            yield return new Field(here, ValueOf(child, required.Contains(name)), Escaped((string?)child["description"] ?? ""));
            foreach (var field in Children(here, inner ?? child)) yield return field;
        }
    }

    private static string ValueOf(JsonObject schema, bool required)
    {
        var of = schema["items"] as JsonObject ?? schema;
        var parts = new List<string> { TypeOf(schema) };
        if (of["enum"] is JsonArray words) parts.Add(string.Join(", ", words.Select(word => $"`{word}`")));
        if (schema["default"] is { } value && value is JsonValue) parts.Add($"default `{(value.GetValueKind() is System.Text.Json.JsonValueKind.String ? (string)value! : value.ToJsonString())}`");
        Bound(parts, of["minimum"], of["maximum"], "");
        if (of["maxLength"] is { } length) parts.Add($"at most {length} characters");
        if (schema["maxItems"] is { } items) parts.Add($"at most {items} of them");
        if (schema["maxProperties"] is { } entries) parts.Add($"at most {entries} of them");
        if (required) parts.Add("required");
        return string.Join("; ", parts);
    }

    private static void Bound(List<string> parts, JsonNode? least, JsonNode? most, string unit)
    {
        if (least is not null && most is not null) parts.Add($"{least} to {most}{unit}");
        else if (least is not null) parts.Add($"{least} or more{unit}");
        else if (most is not null) parts.Add($"at most {most}{unit}");
    }

    private static string TypeOf(JsonObject schema)
    {
        if ((bool?)schema["x-kubernetes-int-or-string"] == true) return "number or text";
        return (string?)schema["type"] switch
        {
            "array" => schema["items"] is JsonObject { } item && (string?)item["type"] == "object" ? "list" : $"list of {TypeOf(schema["items"]!.AsObject())}",
            "object" when schema["additionalProperties"] is JsonObject => "map of text",
            "object" => "object",
            "boolean" => "`true` or `false`",
            "integer" => "number",
            _ => "text",
        };
    }

    private static IEnumerable<(string Path, string Message)> Rules(string plural) => RulesOf("spec", Crd.Schema(plural)["properties"]!["spec"]!.AsObject());

    private static IEnumerable<(string Path, string Message)> RulesOf(string path, JsonObject schema)
    {
        foreach (var rule in schema["x-kubernetes-validations"]?.AsArray() ?? []) yield return (path + (string?)rule!["fieldPath"], Escaped((string)rule["message"]!));
        if (schema["items"] is JsonObject items)
            foreach (var rule in RulesOf(path + "[]", items)) yield return rule;
        foreach (var (name, node) in schema["properties"]?.AsObject() ?? [])
            foreach (var rule in RulesOf($"{path}.{name}", node!.AsObject())) yield return rule;
    }

    private static string Escaped(string text) => text.ReplaceLineEndings(" ").Trim().Replace("|", "\\|", StringComparison.Ordinal);

    private sealed record Field(string Path, string Value, string Meaning);
}
