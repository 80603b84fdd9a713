using System.Collections.Immutable;
using System.Text;
using Reconciler.Agent.Controller;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Tests.Controller;

/// <summary>Sets, nodes and children for tests of the pure parts.</summary>
internal static class Objects
{
    public const string Uid = "set-uid";

    public static readonly DateTimeOffset Now = new(2030, 1, 1, 12, 0, 0, TimeSpan.Zero);

    /// <param name="spec">JSON members of spec beside the template, as <c>"nodeNames":["a"]</c>.</param>
    /// <param name="image">Stands for the template.</param>
    /// <param name="generation">metadata.generation.</param>
    /// <param name="metadata">JSON members of metadata.</param>
    /// <param name="template">JSON members of template.spec.</param>
    public static WorkloadSet Set(string spec = "", string image = "app:1", long generation = 1, string metadata = "", string template = "") =>
        WorkloadSet.Read(ClusterObject.Parse(Encoding.UTF8.GetBytes($$$"""
            {"metadata":{"namespace":"ns","name":"web","uid":"{{{Uid}}}","resourceVersion":"7","generation":{{{generation}}}{{{Comma(metadata)}}} },
             "spec":{"template":{"spec":{"containers":[{"name":"main","image":"{{{image}}}"}]{{{Comma(template)}}} } }{{{Comma(spec)}}} },
             "status":{"observedGeneration":-1}}
            """)));

    /// <param name="name">Of the node.</param>
    /// <param name="labels">As a=1,b=2.</param>
    /// <param name="taints">Of the node.</param>
    public static NodeFacts Machine(string name, string labels = "", params Taint[] taints) => new(
        name,
        labels.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(label => label.Split('='))
            .ToImmutableSortedDictionary(pair => pair[0], pair => pair[1], StringComparer.Ordinal),
        [.. taints],
        Ready: true);

    /// <summary>A ready child of the set with its current template.</summary>
    public static Workload Child(WorkloadSet set, string node) => new()
    {
        Name = new ObjectName(set.Name.Namespace, ChildNames.Of(set.Name.Name, node)),
        Uid = "child-uid-" + node,
        ResourceVersion = "5",
        NodeName = node,
        Owner = new OwnerReference(set.Name.Name, set.Uid),
        Revision = set.Template.Revision,
        CreatedAt = Now.AddHours(-1),
        StopFinalizerAt = 0,
        IsReady = true,
        ReadySince = Now.AddHours(-1),
    };

    public static ClusterFacts Facts(WorkloadSet set, IEnumerable<NodeFacts> nodes, params IEnumerable<Workload> workloads) => new()
    {
        Sets = ImmutableDictionary<ObjectName, WorkloadSet>.Empty.Add(set.Name, set),
        Nodes = nodes.ToImmutableDictionary(node => node.Name),
        Workloads = workloads.ToImmutableDictionary(workload => workload.Name),
    };

    public static SetPlan Plan(WorkloadSet set, ClusterFacts cluster, SetStatus? before = null, string refusal = "", DateTimeOffset? now = null) =>
        SetPlanner.Plan(set, cluster, before ?? set.Status, refusal, now ?? Now);

    private static string Comma(string members) => members.Length > 0 ? "," + members : "";
}
