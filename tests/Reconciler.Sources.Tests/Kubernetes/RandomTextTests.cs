using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Reconciler.Sources.Tests.Kubernetes;

/// <summary>Grammars written twice, as a pattern of the schema and as C#, take the same of many random texts.</summary>
public sealed class RandomTextTests(SharedApiServer shared)
{
    private const int Documents = 20;
    private const int Texts = 20; // a document's problems are counted up to 50

    private static readonly string Hex64 = new('a', 64);

    /// <summary>A document out of that many texts, the field of one (<c>#</c> is its index), and what the texts are put together from.</summary>
    public static TheoryData<string, string, string[]> Grammars => new()
    {
        { "images", "spec.images[#].image", ["a", "b1", "A", "library/", "docker.io/", "index.docker.io/", "localhost", ".", "..", "_", "__", "-", "/", ":", ":5000/", ":0", ":65536/", ":65535/", "@", "@sha256:", Hex64, "[::1]", "x.y", " ", "é"] },
        { "names", "spec.containers[#].name", ["a", "b", "1", "-", ".", "_", "A", "é"] },
        { "working", "spec.containers[#].workingDir", ["/", "//", ".", "..", "...", "a", ".a", "..a", "a..", "\n", "é"] },
        { "mounts", "spec.containers[0].volumeMounts[#].mountPath", ["/", "//", ".", "..", "...", "a", ".a", "..a", "a..", "é"] },
        { "host", "spec.volumes[#].hostPath.path", ["/", ".", "..", "a", ".a", "..a", " "] },
        { "env", "spec.containers[0].env[#].name", ["A", "a1", "_", ".", "=", " ", "~", "\t", "\u007f", "é"] },
        { "cpu", "spec.containers[#].resources.limits.cpu", ["0", "1", "2.5", "100", ".", "m", "n", "u", "k", "M", "Mi", "E", "Ei", "e", "e3", "E-2", "e18", "+", " "] },
        { "memory", "spec.containers[#].resources.limits.memory", ["0", "1", "2.5", "100", ".", "m", "n", "u", "k", "M", "Mi", "E", "Ei", "e", "e3", "E-2", "e18", "+", " "] },
        { "pids", "spec.containers[#].resources.limits.pids", ["0", "1", "2.5", "100", ".", "m", "n", "k", "M", "Ki", "e", "e3", "E-2"] },
        { "capabilities", "spec.containers[0].securityContext.capabilities.add[#]", ["CAP_", "ALL", "NET_ADMIN", "CHOWN", "SYS_", "TIME", "cap_", "chown", ""] },
        { "nodes", "spec.nodeNames[#]", ["a", "b", "1", "-", ".", "_", "A"] },
        { "keys", "spec.nodeSelector.matchExpressions[#].key", ["a", "B", "1", "-", ".", "_", "/", "é"] },
        { "values", "spec.nodeSelector.matchExpressions[0].values[#]", ["a", "B", "1", "-", ".", "_", "/"] },
        { "tolerations", "spec.tolerations[#].key", ["a", "B", "1", "-", ".", "_", "/"] },
    };

    [Theory]
    [MemberData(nameof(Grammars))]
    public async Task Both_refuse_the_same_texts(string kind, string field, string[] parts)
    {
        var server = await shared.WithCrdsAsync();
        var random = new Random(kind.Sum(c => c));
        int refused = 0, accepted = 0;
        for (var i = 0; i < Documents; i++)
        {
            var texts = Enumerable.Range(0, 10 * Texts).Select(_ => Text(random, parts)).Distinct().Take(Texts).ToArray();
            var yaml = Document(kind, texts);
            var reader = Indices(Verdict.OfReader(yaml), field);
            var answer = await Verdict.OfServerAsync(server, yaml, TestContext.Current.CancellationToken);

            Assert.Equal(reader.Select(index => texts[index]), Indices(answer, field).Select(index => texts[index]));
            refused += reader.Count;
            accepted += texts.Length - reader.Count;
        }
        Assert.True(refused > 20 && accepted > 20, $"one-sided: {refused} refused, {accepted} accepted");
    }

    private static string Text(Random random, string[] parts) =>
        string.Concat(Enumerable.Range(0, random.Next(1, 6)).Select(_ => parts[random.Next(parts.Length)]));

    private static string Document(string kind, string[] texts)
    {
        var each = texts.Select((text, i) => (Text: JsonSerializer.Serialize(text), Index: i.ToString(CultureInfo.InvariantCulture))).ToArray();
        string All(Func<(string Text, string Index), string> item) => string.Join(", ", each.Select(item));
        return kind switch
        {
            "images" => ClusterDocuments.Workload($"images: [{All(t => $"{{image: {t.Text}}}")}]"),
            "names" => ClusterDocuments.Workload($"containers: [{All(t => $"{{name: {t.Text}, image: a}}")}]"),
            "working" => ClusterDocuments.Workload($"containers: [{All(t => $"{{name: c{t.Index}, image: a, workingDir: {t.Text}}}")}]"),
            "mounts" => ClusterDocuments.Container($"volumeMounts: [{All(t => $"{{name: v, mountPath: {t.Text}}}")}]", "volumes: [{name: v, emptyDir: {}}]"),
            "host" => ClusterDocuments.Workload($"images: [{{image: a}}]\nvolumes: [{All(t => $"{{name: v{t.Index}, hostPath: {{path: {t.Text}}}}}")}]"),
            "env" => ClusterDocuments.Container($"env: [{All(t => $"{{name: {t.Text}}}")}]"),
            "cpu" or "memory" or "pids" => ClusterDocuments.Workload($"containers: [{All(t => $"{{name: c{t.Index}, image: a, resources: {{limits: {{{kind}: {t.Text}}}}}}}")}]"),
            "capabilities" => ClusterDocuments.Container($"securityContext: {{capabilities: {{add: [{All(t => t.Text)}]}}}}"),
            "nodes" => ClusterDocuments.Set($"nodeNames: [{All(t => t.Text)}]"),
            "keys" => ClusterDocuments.Set($"nodeSelector: {{matchExpressions: [{All(t => $"{{key: {t.Text}, operator: Exists}}")}]}}"),
            "values" => ClusterDocuments.Set($"nodeSelector: {{matchExpressions: [{{key: a, operator: In, values: [{All(t => t.Text)}]}}]}}"),
            _ => ClusterDocuments.Set($"tolerations: [{All(t => $"{{key: {t.Text}}}")}]"),
        };
    }

    /// <summary>Which texts were refused; that two of them mean the same is no matter of grammar.</summary>
    private static List<int> Indices(Verdict verdict, string field)
    {
        var place = new Regex("^" + Regex.Escape(field).Replace("\\#", "([0-9]+)", StringComparison.Ordinal) + "$");
        return [.. verdict.Problems.Where(problem => !problem.Message.Contains("twice", StringComparison.Ordinal))
            .Select(problem => place.Match(problem.Field)).Where(match => match.Success)
            .Select(match => int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture)).Distinct().Order()];
    }
}
