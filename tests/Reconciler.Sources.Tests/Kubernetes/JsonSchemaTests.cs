using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Reconciler.Sources.Manifests;
using Reconciler.Testing;

namespace Reconciler.Sources.Tests.Kubernetes;

/// <summary>The JSON schemas for editors and kubeconform are the schemas of the CustomResourceDefinitions in that other dialect, and nothing else.</summary>
public sealed class JsonSchemaTests
{
    private const string WriteThem = "RECONCILER_WRITE_SCHEMAS";

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>In the layout of the public collections of such schemas: group/kind_version.json.</summary>
    [Theory]
    [InlineData("nodeworkloads", "nodeworkload_v1alpha1.json")]
    [InlineData("nodeworkloadsets", "nodeworkloadset_v1alpha1.json")]
    public void The_file_is_what_the_definition_gives(string plural, string name)
    {
        var file = Path.Combine(Checkout.Root, "schemas/reconciler.dev", name);
        var schema = Converted(Crd.Schema(plural));
        var kind = (string)Crd.Read(plural)["spec"]!["names"]!["kind"]!;
        schema.Insert(0, "$schema", "http://json-schema.org/draft-07/schema#");
        schema["required"] = new JsonArray("apiVersion", "kind", "metadata", "spec");
        schema["properties"]!["apiVersion"] = new JsonObject { ["type"] = "string", ["enum"] = new JsonArray(ManifestReader.ApiVersion) };
        schema["properties"]!["kind"] = new JsonObject { ["type"] = "string", ["enum"] = new JsonArray(kind) };
        var text = schema.ToJsonString(Indented) + "\n";
        if (Environment.GetEnvironmentVariable(WriteThem) is { Length: > 0 }) File.WriteAllText(file, text);

        Assert.True(text == File.ReadAllText(file), $"{file} is not what crds/{plural}.yaml gives; run this test with {WriteThem}=1 to write it");
    }

    /// <summary>Unknown fields are errors, as they are for <c>kubectl apply</c>; CEL rules have no counterpart.</summary>
    private static JsonObject Converted(JsonObject schema)
    {
        var result = new JsonObject();
        foreach (var (key, value) in schema)
        {
            if (key.StartsWith("x-kubernetes-", StringComparison.Ordinal) || (key, (string?)(value as JsonValue)?.ToString()) is ("format", "int64") or ("anyOf", _)) continue;
            result[key] = key switch
            {
                "properties" => new JsonObject(value!.AsObject().Select(child => KeyValuePair.Create(child.Key, (JsonNode?)Converted(child.Value!.AsObject())))),
                "items" or "additionalProperties" => Converted(value!.AsObject()),
                _ => value?.DeepClone(),
            };
        }
        if (schema["properties"] is not null) result["additionalProperties"] = false;
        if ((bool?)schema["x-kubernetes-int-or-string"] == true) result["type"] = new JsonArray("integer", "string");
        return result;
    }
}
