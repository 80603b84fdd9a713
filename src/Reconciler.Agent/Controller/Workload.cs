using System.Text.Json;
using Reconciler.Agent.Cluster;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Controller;

/// <summary>A NodeWorkload as the controller reads it, a set's or a person's.</summary>
internal sealed record Workload
{
    public const string Path = "apis/reconciler.dev/v1alpha1/nodeworkloads";

    /// <summary>Holds a deleted child until its node has stopped it.</summary>
    public const string StopFinalizer = "reconciler.dev/stop";

    /// <summary>"true" on a deleted child: it may go although nobody knows whether its containers have stopped.</summary>
    public const string ForceRelease = "reconciler.dev/force-release";

    public const string SetLabel = "reconciler.dev/set";
    public const string RevisionLabel = "reconciler.dev/revision";

    public required ObjectName Name { get; init; }

    public required string Uid { get; init; }

    public string ResourceVersion { get; init; } = "";

    public long Generation { get; init; } = 1;

    public required string NodeName { get; init; }

    /// <summary>The NodeWorkloadSet that controls it; null = nobody's.</summary>
    public OwnerReference? Owner { get; init; }

    public string Revision { get; init; } = "";

    public DateTimeOffset CreatedAt { get; init; }

    public bool IsDeleting { get; init; }

    /// <summary>Of <see cref="StopFinalizer"/> in metadata.finalizers; -1 = it is not there.</summary>
    public int StopFinalizerAt { get; init; } = -1;

    public bool MayBeForced { get; init; }

    /// <summary>The agent's Ready condition speaks of this generation and is true.</summary>
    public bool IsReady { get; init; }

    /// <summary>The later of the condition's last transition and the newest start of a container.</summary>
    public DateTimeOffset ReadySince { get; init; }

    /// <summary>The agent has stopped everything after the deletion.</summary>
    public bool IsStopped { get; init; }

    /// <summary>The controller's own; null = never written.</summary>
    public ObjectCondition? AgentLost { get; init; }

    public static Workload Read(ClusterObject workload)
    {
        using var document = JsonDocument.Parse(workload.Json);
        var metadata = document.RootElement.Find("metadata");
        var status = document.RootElement.Find("status");
        var conditions = ObjectCondition.ReadAll(status).ToList();
        var ready = conditions.Find(condition => condition.Type == ConditionType.Ready);
        var lost = conditions.Find(condition => condition.Type == ConditionType.AgentLost);
        var observed = status.Number("observedGeneration") ?? -1;
        return new Workload
        {
            Name = workload.Name,
            Uid = workload.Uid,
            ResourceVersion = workload.ResourceVersion,
            Generation = workload.Generation,
            NodeName = document.RootElement.Find("spec").Text("nodeName"),
            Owner = OwnerReference.Read(metadata),
            Revision = workload.Revision,
            CreatedAt = metadata.Time("creationTimestamp") ?? DateTimeOffset.UnixEpoch,
            IsDeleting = workload.IsDeleting,
            StopFinalizerAt = metadata.Items("finalizers").ToList().FindIndex(finalizer => finalizer.ValueEquals(StopFinalizer)),
            MayBeForced = metadata.Find("annotations").Text(ForceRelease) == "true",
            IsReady = ready is { IsTrue: true } && observed >= workload.Generation && lost is not { IsTrue: true },
            ReadySince = status.Items("containers").Select(container => container.Time("startedAt")).Append(ready?.Since).Max() ?? DateTimeOffset.UnixEpoch,
            IsStopped = conditions.Exists(condition => condition is { Type: ConditionType.Stopped, IsTrue: true } && condition.ObservedGeneration >= workload.Generation),
            AgentLost = lost,
        };
    }

    public bool IsAvailable(TimeSpan minReady, DateTimeOffset now) => !IsDeleting && IsReady && (minReady == TimeSpan.Zero || now >= ReadySince + minReady);

    public bool IsOf(WorkloadSet set) => Owner is { } owner && owner.Uid == set.Uid;
}

/// <param name="Name">Of the NodeWorkloadSet.</param>
/// <param name="Uid">A set that was made again under its old name has another.</param>
internal sealed record OwnerReference(string Name, string Uid)
{
    public static OwnerReference? Read(JsonElement metadata)
    {
        foreach (var owner in metadata.Items("ownerReferences"))
            if (owner.Flag("controller") && owner.Text("kind") == "NodeWorkloadSet" && owner.Text("apiVersion").StartsWith("reconciler.dev/", StringComparison.Ordinal))
                return new OwnerReference(owner.Text("name"), owner.Text("uid"));
        return null;
    }
}
