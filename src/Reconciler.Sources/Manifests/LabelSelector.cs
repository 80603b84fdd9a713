using System.Collections.Immutable;

namespace Reconciler.Sources.Manifests;

/// <summary>Kubernetes' LabelSelector: all requirements hold; none = everything matches.</summary>
internal sealed record LabelSelector(ImmutableArray<LabelRequirement> Requirements)
{
    private const string HostnameLabel = "kubernetes.io/hostname";

    public static readonly LabelSelector Everything = new([]);

    public bool Matches(IReadOnlyDictionary<string, string> labels, string nodeName) => Requirements.All(requirement =>
    {
        var value = labels.GetValueOrDefault(requirement.Key) ?? (requirement.Key == HostnameLabel ? nodeName : null);
        return requirement.Operator switch
        {
            "In" => value is not null && requirement.Values.Contains(value),
            "NotIn" => value is null || !requirement.Values.Contains(value),
            "Exists" => value is not null,
            _ => value is null,
        };
    });

    public static LabelSelector Read(FieldReader? fields)
    {
        if (fields is null) return Everything;
        var requirements = ImmutableArray.CreateBuilder<LabelRequirement>();
        var labels = fields.TextMap("matchLabels", DnsName.MaxLabels);
        foreach (var (key, value) in labels)
        {
            if (!DnsName.IsLabelKey(key) || !DnsName.IsLabelValue(value)) fields.Problem("matchLabels", $"{FieldReader.Shown(key)}: {FieldReader.Shown(value)} is no label", "prefix/name: value, at most 63 letters, digits, -, _ and . each");
            requirements.Add(new LabelRequirement(key, "In", [value]));
        }
        foreach (var expression in fields.Mappings("matchExpressions", 100))
        {
            var key = expression.RequiredText("key", DnsName.MaxLabelKey);
            var verb = expression.RequiredText("operator") is null ? null : expression.Choice("operator", "In", "NotIn", "Exists", "DoesNotExist");
            var values = expression.Texts("values", 1000, 63);
            for (var i = 0; i < values.Count; i++)
                if (!DnsName.IsLabelValue(values[i]))
                    expression.Problem($"values[{i}]", $"\"{FieldReader.Shown(values[i])}\" is no label value", DnsName.LabelValueRule);
            if (verb is "In" or "NotIn" && values.Count == 0) expression.Problem("values", $"is required with {verb}", "list at least one value");
            if (verb is "Exists" or "DoesNotExist" && values.Count > 0) expression.Problem("values", $"has no meaning with {verb}", "remove it");
            if (key is not null && !DnsName.IsLabelKey(key)) expression.Problem("key", "is no label key", "an optional DNS prefix and a slash, then at most 63 letters, digits, -, _ and .");
            expression.Close();
            if (key is not null && verb is not null) requirements.Add(new LabelRequirement(key, verb, [.. values]));
        }
        fields.Close(name => name.Contains('/', StringComparison.Ordinal) || name.Contains('.', StringComparison.Ordinal) ? "labels go below matchLabels" : null);
        return new LabelSelector(requirements.ToImmutable());
    }
}

/// <param name="Key">Label key.</param>
/// <param name="Operator">In, NotIn, Exists or DoesNotExist.</param>
/// <param name="Values">For In and NotIn.</param>
internal sealed record LabelRequirement(string Key, string Operator, ImmutableArray<string> Values);
