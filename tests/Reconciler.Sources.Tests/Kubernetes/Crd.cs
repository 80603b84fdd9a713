using System.Text.Json.Nodes;
using Reconciler.Sources.Manifests;
using Reconciler.Testing;
using Reconciler.Testing.Kubernetes;

namespace Reconciler.Sources.Tests.Kubernetes;

/// <summary>The CustomResourceDefinitions of the repository, as JSON.</summary>
internal static class Crd
{
    public static readonly string Folder = Path.Combine(Checkout.Root, "crds");

    /// <summary>A kind is not served for a moment after it was Established, and again after a start of the server.</summary>
    public static Task UntilServedAsync(ApiServer server) => Eventually.UntilAsync(
        async () => await server.TryKubectlAsync(server.Kubeconfig, "get", "nodeworkloads,nodeworkloadsets", "-A") is { ExitCode: 0 }, "our kinds are served");

    public static JsonObject Read(string plural) => Json(File.ReadAllText(Path.Combine(Folder, plural + ".yaml")));

    /// <summary>openAPIV3Schema of the only version.</summary>
    public static JsonObject Schema(string plural) =>
        Assert.Single(Read(plural)["spec"]!["versions"]!.AsArray())!["schema"]!["openAPIV3Schema"]!.AsObject();

    public static JsonObject Json(string yaml) => JsonNode.Parse(NodeJson.Write(NodeReader.Read(yaml, 0)!))!.AsObject();

    /// <summary>Every schema below <paramref name="schema"/> by its path; an entry of a list is <c>[]</c>, of a map <c>{}</c>.</summary>
    public static IEnumerable<(string Path, JsonObject Schema)> Walk(JsonObject schema, string path)
    {
        yield return (path, schema);
        foreach (var (name, child) in schema["properties"]?.AsObject() ?? [])
            foreach (var below in Walk(child!.AsObject(), path.Length == 0 ? name : $"{path}.{name}"))
                yield return below;
        foreach (var (key, suffix) in new[] { ("items", "[]"), ("additionalProperties", "{}") })
            if (schema[key] is JsonObject entry)
                foreach (var below in Walk(entry, path + suffix))
                    yield return below;
    }
}
