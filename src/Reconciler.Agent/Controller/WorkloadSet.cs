using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Reconciler.Agent.Cluster;
using Reconciler.Sources.Kubernetes;
using Reconciler.Sources.Manifests;

namespace Reconciler.Agent.Controller;

/// <summary>A NodeWorkloadSet as the controller reads it.</summary>
internal sealed record WorkloadSet
{
    public const string Path = "apis/reconciler.dev/v1alpha1/nodeworkloadsets";

    private const string ForegroundDeletion = "foregroundDeletion";

    public required ObjectName Name { get; init; }

    public required string Uid { get; init; }

    public required string ResourceVersion { get; init; }

    public required long Generation { get; init; }

    public bool IsDeleting { get; init; }

    /// <summary>It is being deleted and waits for its children to be gone first. Any other way of deletion leaves them to the garbage collector, or alone.</summary>
    public bool DeletesChildrenFirst { get; init; }

    public required NodeSelection Selection { get; init; }

    public ImmutableArray<Toleration> Tolerations { get; init; } = [];

    public bool OnDelete { get; init; }

    /// <summary>A count, or a percentage as 25%.</summary>
    public string MaxUnavailable { get; init; } = "1";

    public TimeSpan MinReady { get; init; }

    public TimeSpan ProgressDeadline { get; init; } = TimeSpan.FromSeconds(600);

    public required ChildTemplate Template { get; init; }

    /// <summary>As it is in the API.</summary>
    public required SetStatus Status { get; init; }

    public static WorkloadSet Read(ClusterObject set)
    {
        using var document = JsonDocument.Parse(set.Json);
        var metadata = document.RootElement.Find("metadata");
        var spec = document.RootElement.Find("spec");
        var strategy = spec.Find("updateStrategy");
        var template = ChildTemplate.Read(spec.Find("template"));
        return new WorkloadSet
        {
            Name = set.Name,
            Uid = set.Uid,
            ResourceVersion = set.ResourceVersion,
            Generation = set.Generation,
            IsDeleting = set.IsDeleting,
            DeletesChildrenFirst = set.IsDeleting && metadata.Items("finalizers").Any(finalizer => finalizer.ValueEquals(ForegroundDeletion)),
            Selection = NodeSelection.Read(spec),
            Tolerations = Toleration.ReadAll(spec, template.HostNetwork),
            OnDelete = strategy.Text("type") == "OnDelete",
            MaxUnavailable = strategy.Find("maxUnavailable") is { ValueKind: JsonValueKind.Number or JsonValueKind.String } max ? max.ToString() : "1",
            MinReady = TimeSpan.FromSeconds(spec.Number("minReadySeconds") ?? 0),
            ProgressDeadline = TimeSpan.FromSeconds(spec.Number("progressDeadlineSeconds") ?? 600),
            Template = template,
            Status = SetStatus.Read(document.RootElement.Find("status")),
        };
    }

    /// <summary>Nodes at a time that may be without an available copy: a percentage of the wanted ones is rounded up, and one is always allowed.</summary>
    public int MaxUnavailableOf(int desired) => MaxUnavailable is [.. var digits, '%']
        ? Math.Max(1, (int)((long.Parse(digits, CultureInfo.InvariantCulture) * desired + 99) / 100))
        : Math.Max(1, int.Parse(MaxUnavailable, CultureInfo.InvariantCulture));
}

/// <summary>What each NodeWorkload of a set is made from.</summary>
/// <param name="Revision">Hash of all of it.</param>
/// <param name="Labels">Of the template's metadata.</param>
/// <param name="Annotations">Of the template's metadata.</param>
/// <param name="Spec">JSON of the template's spec.</param>
/// <param name="HostNetwork">spec.hostNetwork.</param>
internal sealed record ChildTemplate(
    string Revision, ImmutableSortedDictionary<string, string> Labels, ImmutableSortedDictionary<string, string> Annotations, byte[] Spec, bool HostNetwork)
{
    public static ChildTemplate Read(JsonElement template)
    {
        var spec = template.Find("spec");
        return new ChildTemplate(
            ShortHash.Of(template),
            template.Find("metadata").Map("labels"),
            template.Find("metadata").Map("annotations"),
            spec.ValueKind == JsonValueKind.Object ? Encoding.UTF8.GetBytes(spec.GetRawText()) : "{}"u8.ToArray(),
            spec.Flag("hostNetwork"));
    }
}
