namespace Reconciler.Core.Model;

/// <summary>What is reconciled: one container of a workload, or one image reference.</summary>
public enum ResourceKind
{
    Container,
    Image,
}

/// <summary>Names one unit of reconciling; the only thing that travels through the queue.</summary>
/// <param name="Kind">Container or image.</param>
/// <param name="Namespace">Kubernetes namespace of the workload; empty for an image.</param>
/// <param name="Name"><c>workload/container</c>, or the normalised image reference.</param>
public readonly record struct ResourceKey(ResourceKind Kind, string Namespace, string Name)
{
    public static ResourceKey Container(string ns, string workload, string container) =>
        new(ResourceKind.Container, ns, $"{workload}/{container}");

    public static ResourceKey Image(string reference) => new(ResourceKind.Image, "", reference);

    public override string ToString() => Kind == ResourceKind.Image ? $"image {Name}" : $"{Namespace}/{Name}";
}
