using System.Collections.Immutable;
using Reconciler.Core.Model;

namespace Reconciler.Sources.Manifests;

/// <summary>A checked workload to the units of reconciling.</summary>
internal static class WorkloadMapper
{
    /// <param name="workload">Meant for this node.</param>
    /// <param name="source">The source label.</param>
    public static ImmutableArray<DesiredResource> Map(NodeWorkload workload, string source)
    {
        var (ns, name, uid, spec) = workload;
        var containers = spec.Containers.Select(container => new ContainerSpec
        {
            Key = ResourceKey.Container(ns, name, container.Name),
            Source = source,
            Namespace = ns,
            Workload = name,
            Name = container.Name,
            Uid = uid,
            Process = container.Process,
            PullPolicy = container.PullPolicy,
            RestartPolicy = spec.RestartPolicy,
            GracePeriod = spec.GracePeriod,
            Suspend = spec.Suspend,
            Hash = SpecHash.Of(container.Process),
        });
        var images = spec.Images.Select(image => new ImageSpec { Key = ResourceKey.Image(image.Reference), Source = source, PullPolicy = image.PullPolicy });
        return [.. containers, .. images];
    }

    /// <summary>All documents of a source together: workloads that name the same image share one unit, under the first one's source.</summary>
    public static ImmutableDictionary<ResourceKey, DesiredResource> Merge(IEnumerable<DesiredResource> inPathOrder)
    {
        var result = ImmutableDictionary.CreateBuilder<ResourceKey, DesiredResource>();
        foreach (var resource in inPathOrder)
        {
            if (!result.TryGetValue(resource.Key, out var first)) result.Add(resource.Key, resource);
            else if (first is ImageSpec { PullPolicy: not ImagePullPolicy.Always } image && resource is ImageSpec { PullPolicy: ImagePullPolicy.Always })
                result[resource.Key] = image with { PullPolicy = ImagePullPolicy.Always };
        }
        return result.ToImmutable();
    }
}
