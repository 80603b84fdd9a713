using System.Globalization;
using System.Text.Json.Nodes;
using Reconciler.Core.Model;
using Reconciler.Sources.Tests.Manifests;
using Reconciler.Testing;
using Reconciler.Testing.Kubernetes;

namespace Reconciler.Sources.Tests.Kubernetes;

/// <summary>
/// Unquoted words and numbers: kubectl reads them by YAML 1.1 with parts of 1.2. What the reader takes means the same to kubectl; where the two
/// versions of YAML differ, or people easily err, the reader refuses what kubectl takes.
/// </summary>
public sealed class YamlTests(SharedApiServer shared)
{
    private static readonly string[] Scalars =
    [
        "true", "True", "TRUE", "tRue", "yes", "No", "on", "OFF", "y", "n", "~", "null", "1", "+1", "08", "007", "010", "0o7", "0o8", "1_000", "0x1F", "0b11", "1e3", "1.0", ".5",
        "1:30", "2001-12-14", "_1", "1e", "99999999999999999999", "\"010\"", "'on'",
    ];

    private static readonly Dictionary<string, string> Fields = new()
    {
        ["boolean"] = "spec: {nodeName: n1, hostNetwork: #, containers: [{name: c, image: a}]}",
        ["integer"] = "spec: {nodeName: n1, terminationGracePeriodSeconds: #, containers: [{name: c, image: a}]}",
        ["quantity"] = "spec: {nodeName: n1, containers: [{name: c, image: a, resources: {limits: {pids: # } } }]}",
        ["string"] = "spec: {nodeName: n1, containers: [{name: c, image: a, env: [{name: A, value: # }]}]}",
        ["key"] = "spec: {nodeSelector: {matchLabels: {#: v} }, template: {spec: {containers: [{name: c, image: a}]} } }",
        ["count"] = "spec: {updateStrategy: {maxUnavailable: # }, template: {spec: {containers: [{name: c, image: a}]} } }",
    };

    /// <summary>All that kubectl takes and the reader does not, and what it is to kubectl.</summary>
    private static readonly Dictionary<string, string> Stricter = new()
    {
        ["boolean"] = "yes true, No false, on true, OFF false, y true, n false",
        ["integer"] = "010 8, 0o7 7, 1_000 1000, 0x1F 31, 0b11 3, 1e3 1000, 1.0 1",
        ["quantity"] = "+1 1, 010 8, 0o7 7, 1_000 1000, 0x1F 31, 0b11 3, 1e3 1000, 1.0 1",
        ["string"] = "",
        ["key"] = "true true, True true, TRUE true, yes true, No false, on true, OFF false, y true, n false, +1 1, 08 8, 007 7, 010 8, 0o7 7, 1_000 1000, 0x1F 31, 0b11 3, 1e3 1000, 1.0 1, .5 0.5",
        ["count"] = "010 8, 0o7 7, 1_000 1000, 0x1F 31, 0b11 3, 1e3 1000, 1.0 1",
    };

    private sealed record Row(string Field, string Scalar, string Name)
    {
        public string Yaml => $"""
            apiVersion: reconciler.dev/v1alpha1
            kind: {(Field is "key" or "count" ? "NodeWorkloadSet" : "NodeWorkload")}
            metadata: {"{"}name: {Name}, namespace: default{"}"}
            {Fields[Field].Replace("#", Scalar, StringComparison.Ordinal)}

            """;
    }

    [Fact]
    public async Task What_the_reader_takes_is_the_same_to_kubectl()
    {
        var rows = Fields.Keys.SelectMany(field => Scalars.Select(scalar => (field, scalar))).Where(pair => pair is not ("key", "~" or "null")).Select((pair, index) => new Row(pair.field, pair.scalar, $"w{index}")).ToList();
        var kubectl = await OfKubectlAsync(rows);

        var reader = rows.ToDictionary(row => row, OfReader);

        var different = rows.Where(row => reader[row] is { } ours && ours != kubectl.GetValueOrDefault(row.Name)).Select(row => $"{row.Field} {row.Scalar}: {reader[row]}, kubectl {kubectl.GetValueOrDefault(row.Name)}");
        Assert.Empty(different);
        foreach (var (field, expected) in Stricter)
            Assert.Equal(expected, string.Join(", ", rows.Where(row => row.Field == field && reader[row] is null && kubectl.ContainsKey(row.Name)).Select(row => $"{row.Scalar} {kubectl[row.Name]}")));
    }

    [Theory]
    [InlineData("hostNetwork: on", "must be true or false", "not for kubectl")]
    [InlineData("terminationGracePeriodSeconds: 010", "010 is no plain decimal number", "kubectl would take 010 for 8")]
    [InlineData("containers: [{name: c, image: a, resources: {limits: {memory: 0x1F}}}]", "0x1F is no plain decimal number", "digits only")]
    public void The_reader_says_what_to_write_instead(string field, string message, string remedy)
    {
        var problem = Assert.Single(Given.Read(Given.Spec($"images: [{{image: a}}]\n{field}")).Problems, problem => !problem.Warning);

        Assert.Equal(message, problem.Message);
        Assert.Contains(remedy, problem.Remedy, StringComparison.Ordinal);
    }

    /// <summary>By name, the value of the field of what kubectl and the server take. kubectl prints no objects beside errors, hence twice.</summary>
    private async Task<Dictionary<string, string>> OfKubectlAsync(List<Row> rows)
    {
        var server = await shared.WithCrdsAsync();
        using var folder = new TempFolder();
        var told = await ApplyAsync(server, folder["all.yaml"], rows);
        Assert.DoesNotContain("error parsing", told.Error, StringComparison.Ordinal); // it ends the file
        var taken = told.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' ')[0].Split('/')[1]).ToHashSet(StringComparer.Ordinal);
        told = await ApplyAsync(server, folder["taken.yaml"], rows.Where(row => taken.Contains(row.Name)), "-o", "json");
        Assert.Equal((0, ""), (told.ExitCode, told.Error));
        return JsonNode.Parse(told.Output)!["items"]!.AsArray().ToDictionary(
            item => (string)item!["metadata"]!["name"]!, item => ValueOf(rows.Single(row => row.Name == (string?)item!["metadata"]!["name"]).Field, item!["spec"]!));
    }

    private static async Task<CommandResult> ApplyAsync(ApiServer server, string file, IEnumerable<Row> rows, params string[] flags)
    {
        await File.WriteAllTextAsync(file, string.Join("---\n", rows.Select(row => row.Yaml)), TestContext.Current.CancellationToken);
        return await server.TryKubectlAsync(server.Kubeconfig, ["apply", "--dry-run=server", "-f", file, .. flags]);
    }

    private static string ValueOf(string field, JsonNode spec) => field switch
    {
        "boolean" => (spec["hostNetwork"] ?? "false").ToString(),
        "integer" => spec["terminationGracePeriodSeconds"]!.ToString(),
        "quantity" => Number((spec["containers"]![0]!["resources"]!["limits"]!["pids"] ?? "").ToString()),
        "string" => (spec["containers"]![0]!["env"]![0]!["value"] ?? "").ToString(),
        "key" => spec["nodeSelector"]!["matchLabels"]!.AsObject().Single().Key,
        _ => Number(spec["updateStrategy"]!["maxUnavailable"]!.ToString()),
    };

    /// <summary>A string of digits is a decimal number to both.</summary>
    private static string Number(string text) => long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) ? value.ToString(CultureInfo.InvariantCulture) : text;

    /// <summary>Null = refused.</summary>
    private static string? OfReader(Row row)
    {
        var file = Given.Read(row.Yaml, Given.Options with { Cluster = true });
        if (file.Problems.Any(problem => !problem.Warning)) return null;
        if (row.Field == "key") return row.Scalar.Trim('"', '\'');
        if (row.Field == "count") return row.Scalar is "~" or "null" ? "1" : Number(row.Scalar);
        var container = Assert.Single(file.Documents.Single().Resources.OfType<ContainerSpec>());
        return row.Field switch
        {
            "boolean" => container.Process.HostNetwork ? "true" : "false",
            "integer" => container.GracePeriod.TotalSeconds.ToString(CultureInfo.InvariantCulture),
            "quantity" => container.Process.Limits.Pids?.ToString(CultureInfo.InvariantCulture) ?? "",
            _ => container.Process.Env[0].Value,
        };
    }
}
