using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Reconciler.Sources.Tests.Manifests;
using Reconciler.Testing.Kubernetes;

namespace Reconciler.Sources.Tests.Kubernetes;

/// <summary>The same document gets the same verdict from the real API server and from <c>reconciler validate --cluster</c>.</summary>
public sealed partial class VerdictTests(SharedApiServer shared)
{
    /// <summary>What only the reader can see.</summary>
    private static readonly string[] ReaderOnly =
    [
        "docker.io/library/busybox:1}", // twice the same image in two spellings
        "privileged: yes", // true for kubectl's YAML
        "name: other", // a field given twice is found before there are fields
    ];

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public static TheoryData<int> RefusedRows => [.. Enumerable.Range(0, Refused.Count)];

    public static TheoryData<int> AcceptedRows => [.. Enumerable.Range(0, ClusterDocuments.Accepted.Count())];

    private static IReadOnlyList<(string Yaml, string Field)> Refused { get; } =
    [
        .. ClusterDocuments.Refused,
        .. Rows(RuleTests.Containers).Select(row => (ClusterDocuments.Container(row.Text), row.Field)),
        .. Rows(RuleTests.Specs).Select(row => (ClusterDocuments.Workload(row.Text), row.Field)),
        .. Rows(RuleTests.Sets).Select(row => (Set(row.Text), row.Field)),
    ];

    [Theory]
    [MemberData(nameof(RefusedRows))]
    public async Task Both_refuse_and_name_the_field(int row)
    {
        var (yaml, field) = Refused[row];
        var reader = Verdict.OfReader(yaml);
        var server = await Verdict.OfServerAsync(await shared.WithCrdsAsync(), yaml, Cancel);

        Assert.True(reader.Refused && reader.Names(field), $"{Start(yaml)}\n{field}\nreader: {reader}");
        Assert.True(server.Refused && server.Names(field), $"{Start(yaml)}\n{field}\nserver: {server}");
    }

    [Theory]
    [MemberData(nameof(AcceptedRows))]
    public async Task Both_accept(int row)
    {
        var yaml = ClusterDocuments.Accepted.ElementAt(row);

        Assert.Equal(("accepted", "accepted"), (Verdict.OfReader(yaml).ToString(), (await Verdict.OfServerAsync(await shared.WithCrdsAsync(), yaml, Cancel)).ToString()));
    }

    [Fact]
    public async Task Every_bound_word_and_rule_of_the_schemas_refuses_some_document_of_the_table()
    {
        var seen = new List<(string Field, string Message)>();
        foreach (var (yaml, _) in Refused) seen.AddRange((await Verdict.OfServerAsync(await shared.WithCrdsAsync(), yaml, Cancel)).Problems);
        var told = seen.Select(problem => (Field: EntryOf(problem.Field), problem.Message)).ToList();

        var missing = Constraints("nodeworkloads").Concat(Constraints("nodeworkloadsets").Where(item => !item.Path.StartsWith("spec.template.spec.", StringComparison.Ordinal)))
            .Where(item => !told.Any(problem => IsAt(problem.Field, item.Path) && problem.Message.Contains(item.Message, StringComparison.Ordinal)));
        Assert.Empty(missing);
    }

    /// <summary>Each constraint as the path and the words with which the API server refuses.</summary>
    private static IEnumerable<(string Path, string Message)> Constraints(string plural)
    {
        foreach (var (path, schema) in Crd.Walk(Crd.Schema(plural)["properties"]!["spec"]!.AsObject(), "spec"))
        {
            foreach (var name in schema["required"]?.AsArray() ?? []) yield return ($"{path}.{name}", "Required value");
            if (schema["pattern"] is { } pattern) yield return (path, $"should match '{pattern}'");
            if (schema["enum"] is not null) yield return (path, "Unsupported value");
            if (schema["minimum"] is { } min) yield return (path, $"should be greater than or equal to {min}");
            if (schema["maximum"] is { } max) yield return (path, $"should be less than or equal to {max}");
            if (schema["minLength"] is { } least) yield return (path, $"should be at least {least} chars long");
            if (schema["maxLength"] is { } length) yield return (path, $"may not be more than {length} ");
            if ((schema["maxItems"] ?? schema["maxProperties"]) is { } items) yield return (path, $"must have at most {items} items");
            if ((string?)schema["x-kubernetes-list-type"] is "map" or "set") yield return (path + "[]", "Duplicate value");
            foreach (var rule in schema["x-kubernetes-validations"]?.AsArray() ?? [])
                if (!((string)rule!["rule"]!).Contains("oldSelf", StringComparison.Ordinal))
                    yield return (path + (string?)rule["fieldPath"], (string)rule["message"]!);
        }
    }

    private static bool IsAt(string field, string path) =>
        path.EndsWith("{}", StringComparison.Ordinal) ? field.StartsWith(path[..^2] + ".", StringComparison.Ordinal) : field == path;

    private static IEnumerable<(string Text, string Field)> Rows(TheoryData<string, int, string, string, string> table) =>
        table.Select(row => (Text: row.Data.Item1, Field: row.Data.Item3)).Where(row => !ReaderOnly.Any(text => row.Text.Contains(text, StringComparison.Ordinal)));

    private static string Set(string spec) => Given.Spec(spec).Replace("kind: NodeWorkload", "kind: NodeWorkloadSet", StringComparison.Ordinal);

    private static string Start(string yaml) => yaml.Length < 600 ? yaml : yaml[..600];

    private static string EntryOf(string field) => AnyIndex().Replace(field, "[]");

    [GeneratedRegex(@"\[[0-9]+\]")]
    private static partial Regex AnyIndex();
}
