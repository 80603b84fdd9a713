using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Reconciler.Sources.Manifests;
using Reconciler.Sources.Tests.Manifests;

namespace Reconciler.Sources.Tests.Kubernetes;

/// <summary>The schema of the cluster and the reader of manifests know the same fields: names, types, required, words, bounds, defaults.</summary>
public sealed partial class CrdFieldTests
{
    private const string Spec = """
        hostNetwork: true
        volumes:
        - {name: h, hostPath: {path: /h, type: Directory}}
        - {name: e, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
        images: [{image: a, pullPolicy: Always}]
        containers:
        - name: c
          image: a
          imagePullPolicy: Never
          command: [a]
          args: [a]
          env: [{name: A, value: a}]
          workingDir: /
          volumeMounts: [{name: h, mountPath: /h, readOnly: true}]
          resources: {limits: {cpu: 1, memory: 1Mi, pids: 1}}
          securityContext:
            capabilities: {add: [ALL], drop: [ALL]}
            seccompProfile: {type: Unconfined}
        """;

    private const string Set = """
        kind: NodeWorkloadSet
        metadata: {name: s}
        spec:
          nodeSelector: {matchLabels: {a: b}, matchExpressions: [{key: a, operator: In, values: [b]}]}
          nodeNames: [n1]
          tolerations: [{}]
          updateStrategy: {}
          template:
            metadata: {labels: {a: b}, annotations: {a: b}}
            spec:

        """;

    /// <summary>Documents with every field that holds others, so that the readers get everywhere.</summary>
    public static TheoryData<string, string> Documents => new()
    {
        { "nodeworkloads", "kind: NodeWorkload\nmetadata: {name: w}\nspec:\n  nodeName: n1\n" + Indented(Spec, 2) },
        { "nodeworkloadsets", Set + Indented(Spec, 6) },
    };

    [Theory]
    [MemberData(nameof(Documents))]
    public void The_schema_knows_what_the_reader_knows(string plural, string yaml)
    {
        var known = KnownTo(yaml);
        var schema = Crd.Walk(Crd.Schema(plural)["properties"]!["spec"]!.AsObject(), "spec").Skip(1)
            .Where(entry => !entry.Path.EndsWith("{}", StringComparison.Ordinal) && !IsText(entry, known))
            .ToDictionary(entry => entry.Path, entry => entry.Schema);
        var required = Crd.Walk(Crd.Schema(plural)["properties"]!["spec"]!.AsObject(), "spec")
            .SelectMany(entry => Names(entry.Schema["required"]).Select(name => $"{entry.Path}.{name}")).ToHashSet();

        Assert.Equal(known.Keys.Order(StringComparer.Ordinal), schema.Keys.Order(StringComparer.Ordinal));
        foreach (var (path, field) in known) Assert.Equal(Shown(field), Shown(path, schema[path], required.Contains(path)));
    }

    [Fact]
    public void A_sets_template_is_a_workload_without_a_node()
    {
        var workload = Crd.Schema("nodeworkloads")["properties"]!["spec"]!.AsObject();
        var template = Crd.Schema("nodeworkloadsets")["properties"]!["spec"]!["properties"]!["template"]!["properties"]!["spec"]!.AsObject();
        workload.Remove("required");
        Assert.True(workload["properties"]!.AsObject().Remove("nodeName") && workload["properties"]!.AsObject().Remove("revision"));
        template.Remove("description");

        Assert.Equal(workload.ToJsonString(), template.ToJsonString());
    }

    [Fact]
    public void Both_kinds_have_the_names_columns_and_subresource_that_tools_look_for()
    {
        var workload = Crd.Read("nodeworkloads")["spec"]!;
        var set = Crd.Read("nodeworkloadsets")["spec"]!;

        Assert.Equal(("NodeWorkload", """["nwl"]"""), ((string?)workload["names"]!["kind"], workload["names"]!["shortNames"]!.ToJsonString()));
        Assert.Equal(("NodeWorkloadSet", """["nwls"]"""), ((string?)set["names"]!["kind"], set["names"]!["shortNames"]!.ToJsonString()));
        Assert.Equal("""[{"jsonPath":".spec.nodeName"}]""", workload["versions"]![0]!["selectableFields"]!.ToJsonString());
        foreach (var kind in new[] { workload, set })
        {
            Assert.Equal("""["reconciler"]""", kind["names"]!["categories"]!.ToJsonString());
            Assert.Equal("""{"status":{}}""", kind["versions"]![0]!["subresources"]!.ToJsonString());
            Assert.Equal("""["type"]""", kind["versions"]![0]!["schema"]!["openAPIV3Schema"]!["properties"]!["status"]!["properties"]!["conditions"]!["x-kubernetes-list-map-keys"]!.ToJsonString());
        }
    }

    /// <summary>By path, entries of lists as <c>[]</c>; what is not below spec is Kubernetes' own.</summary>
    internal static Dictionary<string, KnownField> KnownTo(string yaml)
    {
        var problems = new ProblemList("f") { Known = [] };
        var root = (MappingNode)NodeReader.Read("apiVersion: reconciler.dev/v1alpha1\n" + yaml, 0)!;
        new DocumentReader(Given.Options with { Cluster = true }, problems).Read(root, "", set: yaml.Contains("kind: NodeWorkloadSet", StringComparison.Ordinal));
        Assert.False(problems.Refused, string.Join('\n', problems.ToImmutable()));
        return problems.Known.Values.Where(field => field.Path.StartsWith("spec.", StringComparison.Ordinal))
            .Select(field => field with { Path = AnyIndex().Replace(field.Path, "[]") })
            .GroupBy(field => field.Path).ToDictionary(group => group.Key, group => group.OrderBy(field => field.Required).Last());
    }

    private static string Indented(string text, int by) => string.Concat(text.Split('\n').Select(line => $"{new string(' ', by)}{line}\n"));

    /// <summary>An entry of a list of strings that the reader asks nothing of but to be one.</summary>
    private static bool IsText((string Path, JsonObject Schema) entry, Dictionary<string, KnownField> known) =>
        entry.Path.EndsWith("[]", StringComparison.Ordinal) && !known.ContainsKey(entry.Path);

    private static IEnumerable<string> Names(JsonNode? list) => (list?.AsArray() ?? []).Select(item => (string)item!);

    private static string Shown(KnownField field) => string.Create(
        CultureInfo.InvariantCulture,
        $"{field.Path}: {field.Type}, required {field.Required}, one of [{string.Join(", ", field.Words)}], {field.Range?.Min}..{field.Range?.Max}, at most {field.Max}, default {field.Default}");

    private static string Shown(string path, JsonObject schema, bool required)
    {
        var type = (bool?)schema["x-kubernetes-int-or-string"] == true ? "int-or-string"
            : schema["items"] is { } items ? $"list of {items["type"]}"
            : schema["additionalProperties"] is { } values ? $"map of {values["type"]}"
            : (string)schema["type"]!;
        var range = type == "integer" ? ((long)schema["minimum"]!, (long)schema["maximum"]!) : ((long, long)?)null;
        var max = type == "int-or-string" ? null : (int?)(schema["maxItems"] ?? schema["maxProperties"] ?? schema["maxLength"]);
        return Shown(new KnownField(path, type)
        {
            Required = required,
            Words = [.. Names(schema["enum"])],
            Range = range,
            Max = max,
            Default = type == "object" ? null : schema["default"]?.ToJsonString(),
        });
    }

    [GeneratedRegex(@"\[[0-9]+\]")]
    private static partial Regex AnyIndex();
}
