using System.Net;
using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Reconciler.Sources.Manifests;
using Reconciler.Sources.Tests.Manifests;
using Reconciler.Testing.Kubernetes;

namespace Reconciler.Sources.Tests.Kubernetes;

/// <summary>What the API server, or the reader in cluster mode, says of one document.</summary>
/// <param name="Refused">It is not taken.</param>
/// <param name="Problems">Field and message of each reason.</param>
internal sealed partial record Verdict(bool Refused, IReadOnlyList<(string Field, string Message)> Problems)
{
    public static Verdict OfReader(string yaml)
    {
        var file = Given.Read(yaml, Given.Options with { Cluster = true });
        return new Verdict(
            file.Documents.Any(document => document.Refused),
            [.. file.Problems.Where(problem => !problem.Warning).Select(problem => (problem.Field, problem.Message))]);
    }

    /// <summary>A create that is only tried; unknown fields are errors.</summary>
    public static async Task<Verdict> OfServerAsync(ApiServer server, string yaml, CancellationToken cancel)
    {
        var plural = yaml.Contains("kind: NodeWorkloadSet", StringComparison.Ordinal) ? "nodeworkloadsets" : "nodeworkloads";
        using var content = new StringContent(yaml, new MediaTypeHeaderValue("application/yaml"));
        using var answer = await server.Http.PostAsync(
            new Uri($"/apis/{ManifestReader.ApiVersion}/namespaces/default/{plural}?dryRun=All&fieldValidation=Strict", UriKind.Relative), content, cancel);
        var body = JsonNode.Parse(await answer.Content.ReadAsStringAsync(cancel))!;
        if (answer.StatusCode == HttpStatusCode.Created) return new Verdict(false, []);
        Assert.True(answer.StatusCode is HttpStatusCode.BadRequest or HttpStatusCode.UnprocessableEntity, body.ToJsonString());
        var message = (string)body["message"]!;
        var causes = (body["details"]?["causes"]?.AsArray() ?? []).Select(cause => ((string?)cause!["field"] ?? "", (string?)cause["message"] ?? ""));
        var strict = UnknownField().Matches(message).Select(match => (match.Groups[1].Value, "unknown field"));
        return new Verdict(true, [.. causes, .. strict]);
    }

    /// <summary>The same field, or one that holds the other: a rule over several fields is told of their parent.</summary>
    public bool Names(string field) => Problems.Any(problem =>
        problem.Field == field || (problem.Field is not ("" or "spec") && (IsBelow(field, problem.Field) || IsBelow(problem.Field, field))));

    public override string ToString() => Refused ? string.Join('\n', Problems) : "accepted";

    private static bool IsBelow(string inner, string outer) => inner.StartsWith(outer, StringComparison.Ordinal) && inner[outer.Length..] is ['.' or '[', ..];

    [GeneratedRegex("unknown field \"([^\"]+)\"")]
    private static partial Regex UnknownField();
}
