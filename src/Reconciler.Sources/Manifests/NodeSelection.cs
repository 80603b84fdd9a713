using System.Text;
using System.Text.Json;

namespace Reconciler.Sources.Manifests;

/// <summary>The nodes that a set of the cluster is for: nodeSelector and nodeNames narrow each other; neither = every node.</summary>
public sealed class NodeSelection
{
    private readonly LabelSelector _selector;
    private readonly HashSet<string> _names;

    private NodeSelection(LabelSelector selector, IEnumerable<string> names, string problem)
    {
        (_selector, _names) = (selector, names.ToHashSet(StringComparer.Ordinal));
        Problem = problem;
    }

    /// <summary>Why it cannot be followed; empty = it can.</summary>
    public string Problem { get; }

    /// <param name="spec">Of a NodeWorkloadSet.</param>
    public static NodeSelection Read(JsonElement spec)
    {
        var problems = new ProblemList("");
        var selector = Fields(spec, "nodeSelector", problems) is { } found ? LabelSelector.Read(found) : LabelSelector.Everything;
        var names = spec.TryGetProperty("nodeNames", out var list) && list.ValueKind == JsonValueKind.Array
            ? list.EnumerateArray().Where(name => name.ValueKind == JsonValueKind.String).Select(name => name.GetString()!)
            : [];
        return new NodeSelection(selector, names, problems.ToImmutable() is [var first, ..] ? $"spec.{first.Field}: {first.Message} ({first.Remedy})" : "");
    }

    public bool Selects(string node, IReadOnlyDictionary<string, string> labels) =>
        Problem.Length == 0 && (_names.Count == 0 || _names.Contains(node)) && _selector.Matches(labels, node);

    private static FieldReader? Fields(JsonElement spec, string name, ProblemList problems) =>
        spec.TryGetProperty(name, out var value) && JsonNodes.Read(Encoding.UTF8.GetBytes(value.GetRawText())) is MappingNode mapping
            ? new FieldReader(mapping, name, problems)
            : null;
}
