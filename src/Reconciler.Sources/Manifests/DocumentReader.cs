using System.Collections.Immutable;
using Reconciler.Core.Model;

namespace Reconciler.Sources.Manifests;

/// <summary>One object of our API group: envelope and metadata, then its kind's spec.</summary>
internal sealed class DocumentReader(ManifestOptions options, ProblemList problems)
{
    /// <summary>The workload this node has by the document; null = refused (see the problems) or meant for other nodes.</summary>
    public NodeWorkload? Read(MappingNode root, string path, bool set)
    {
        var fields = new FieldReader(root, path, problems);
        fields.Ignore("apiVersion", "kind", "status");
        var (ns, name, uid) = ReadMetadata(fields.RequiredMapping("metadata"));
        var spec = fields.RequiredMapping("spec");
        fields.Close();
        if (spec is null) return null;
        if (set)
        {
            var read = ReadSet(spec, ns, name, uid);
            return !problems.Refused && read.Selects(options) ? read.Expand() : null;
        }
        var workload = new NodeWorkload(ns, name, uid, new SpecReader(options).Read(spec, template: false));
        return !problems.Refused && (workload.Spec.NodeName is not { } node || node == options.NodeName) ? workload : null;
    }

    private static (string Namespace, string Name, string Uid) ReadMetadata(FieldReader? fields)
    {
        if (fields is null) return ("", "", "");
        string? name = null;
        if (fields.Take("generateName") is not null) fields.Problem("generateName", "cannot be followed: the object would have another name each time", "use name");
        else name = fields.RequiredText("name");
        fields.Ignore("name");
        if (name is not null && !DnsName.IsSubdomain(name)) fields.Problem("name", $"\"{FieldReader.Shown(name)}\" is no DNS name", DnsName.SubdomainRule);
        var ns = fields.Text("namespace") ?? "default";
        if (!DnsName.IsLabel(ns)) fields.Problem("namespace", $"\"{FieldReader.Shown(ns)}\" is no DNS label", DnsName.LabelRule);
        CheckLabels(fields);
        var uid = fields.Text("uid") ?? "";
        fields.Ignore(
            "annotations", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields",
            "ownerReferences", "finalizers", "selfLink");
        fields.TextMap("annotations");
        fields.Close();
        return (ns, name ?? "", uid);
    }

    private static void CheckLabels(FieldReader fields, int? max = null)
    {
        foreach (var (key, value) in fields.TextMap("labels", max))
            if (!DnsName.IsLabelKey(key) || !DnsName.IsLabelValue(value))
                fields.Problem("labels", $"{FieldReader.Shown(key)}: {FieldReader.Shown(value)} is no label", "prefix/name: value, at most 63 letters, digits, -, _ and . each");
    }

    private NodeWorkloadSet ReadSet(FieldReader spec, string ns, string name, string uid)
    {
        var selector = LabelSelector.Read(spec.Mapping("nodeSelector"));
        var names = spec.Texts("nodeNames", 5000, 253);
        var seen = new HashSet<string>(StringComparer.Ordinal);
        for (var i = 0; i < names.Count; i++)
        {
            if (!DnsName.IsSubdomain(names[i])) spec.Problem($"nodeNames[{i}]", $"\"{FieldReader.Shown(names[i])}\" is no node's name", DnsName.SubdomainRule);
            if (!seen.Add(names[i])) spec.Problem($"nodeNames[{i}]", $"\"{FieldReader.Shown(names[i])}\" is there twice", "keep one");
        }
        ReadRollout(spec);
        var template = spec.RequiredMapping("template");
        spec.Close(field => field is "containers" or "images" or "volumes" ? "a set has them in template.spec" : field == "selector" ? "a set needs none; nodes are chosen by nodeSelector" : null);
        var body = new NodeWorkloadSpec();
        if (template is not null)
        {
            if (template.Mapping("metadata") is { } metadata)
            {
                CheckLabels(metadata, DnsName.MaxLabels);
                metadata.TextMap("annotations", DnsName.MaxLabels);
                metadata.Close(field => field is "name" or "namespace" ? "the workload has the set's name and namespace" : null);
            }
            var inner = template.RequiredMapping("spec");
            template.Close();
            if (inner is not null) body = new SpecReader(options).Read(inner, template: true);
        }
        return new NodeWorkloadSet(ns, name, uid, selector, [.. names], body);
    }

    /// <summary>A cluster's controller acts on these; here they are only checked.</summary>
    private static void ReadRollout(FieldReader spec)
    {
        spec.Integer("minReadySeconds", 0, int.MaxValue, 0);
        spec.Integer("progressDeadlineSeconds", 1, int.MaxValue, 600);
        foreach (var toleration in spec.Mappings("tolerations", 100)) ReadToleration(toleration);
        if (spec.Mapping("updateStrategy") is not { } strategy) return;
        strategy.ChoiceOrFirst("type", "RollingUpdate", "OnDelete");
        if (strategy.IntegerOrText("maxUnavailable", "1") is { } max && !IsCountOrPercent(max))
            strategy.Problem("maxUnavailable", $"must be a count above 0 or a percentage, not {FieldReader.Shown(max is ScalarNode text ? text.Text : max.Described)}", "for example 1 or 25%");
        strategy.Close(field => field == "rollingUpdate" ? "maxUnavailable belongs to updateStrategy itself" : null);
    }

    private static void ReadToleration(FieldReader fields)
    {
        var verb = fields.Choice("operator", "Equal", "Exists");
        if (fields.Text("key", DnsName.MaxLabelKey) is { Length: > 0 } key && !DnsName.IsLabelKey(key)) fields.Problem("key", $"\"{FieldReader.Shown(key)}\" is no label key", "an optional DNS prefix and a slash, then at most 63 letters, digits, -, _ and .");
        var value = fields.Text("value", 63);
        if (value is not null && !DnsName.IsLabelValue(value)) fields.Problem("value", $"\"{FieldReader.Shown(value)}\" is no label value", DnsName.LabelValueRule);
        if (value is { Length: > 0 } && verb == "Exists") fields.Problem("value", "has no meaning with Exists", "remove it");
        fields.Choice("effect", "", "NoSchedule", "PreferNoSchedule", "NoExecute");
        fields.Integer("tolerationSeconds", 0, int.MaxValue);
        fields.Close();
    }

    private static bool IsCountOrPercent(ManifestNode node) => node is ScalarNode scalar && scalar.Kind switch
    {
        ScalarKind.Integer => scalar.IsDecimal && int.TryParse(scalar.Text, out var count) && count > 0,
        ScalarKind.Text => scalar.Text is [.. var digits, '%'] && digits.All(char.IsAsciiDigit) && int.TryParse(digits, out var percent) && percent is > 0 and <= 100,
        _ => false,
    };
}
