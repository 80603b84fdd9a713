using System.Collections.Immutable;
using Reconciler.Core.Model;

namespace Reconciler.Sources.Manifests;

/// <summary>The spec of a NodeWorkload, or of a set's template.</summary>
internal sealed class SpecReader(ManifestOptions options)
{
    private const int MaxContainers = 32;
    private const int MaxImages = 256;

    public NodeWorkloadSpec Read(FieldReader fields, bool template)
    {
        var nodeName = template ? null : ReadNodeName(fields);
        var hostNetwork = fields.Boolean("hostNetwork", false);
        var hostPid = fields.Boolean("hostPID", false);
        var restartPolicy = fields.ChoiceOrFirst("restartPolicy", "Always", "OnFailure", "Never");
        var grace = fields.Integer("terminationGracePeriodSeconds", 0, int.MaxValue, 30);
        var suspend = fields.Boolean("suspend", false);
        var volumes = new VolumeReader(options);
        volumes.Read(fields);
        var containers = ReadContainers(fields, new ContainerReader(volumes, hostNetwork, hostPid));
        volumes.Finish();
        var images = ReadImages(fields);
        fields.Close(name => Hint(name, template));
        if (IsEmpty(fields, "containers") && IsEmpty(fields, "images"))
            fields.Problem("containers", "neither containers nor images are declared", "declare at least one of them");
        if (!hostNetwork && !IsEmpty(fields, "containers"))
            fields.Warn("hostNetwork", "each container has a network namespace of its own with loopback only", "set hostNetwork: true for the node's network");
        return new NodeWorkloadSpec
        {
            NodeName = nodeName,
            Containers = containers,
            Images = images,
            RestartPolicy = restartPolicy switch
            {
                "OnFailure" => RestartPolicy.OnFailure,
                "Never" => RestartPolicy.Never,
                _ => RestartPolicy.Always,
            },
            GracePeriod = TimeSpan.FromSeconds(grace),
            Suspend = suspend,
        };
    }

    private string? ReadNodeName(FieldReader fields)
    {
        if (fields.Text("revision", 63) is { } revision && !DnsName.IsLabelValue(revision))
            fields.Problem("revision", $"\"{FieldReader.Shown(revision)}\" is no label value", "leave it out; a cluster's controller writes it");
        if (options.Cluster && !fields.Has("nodeName"))
        {
            fields.Ignore("nodeName");
            fields.Problem("nodeName", "is required in a cluster", "name the node, or use a NodeWorkloadSet");
            return null;
        }
        var name = fields.Has("nodeName") ? fields.RequiredText("nodeName", 253) : fields.Text("nodeName", 253);
        if (name is not null && !DnsName.IsSubdomain(name)) fields.Problem("nodeName", $"\"{FieldReader.Shown(name)}\" is no node's name", DnsName.SubdomainRule);
        return name;
    }

    private static ImmutableArray<WorkloadContainer> ReadContainers(FieldReader fields, ContainerReader reader)
    {
        var result = ImmutableArray.CreateBuilder<WorkloadContainer>();
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var item in fields.Mappings("containers", MaxContainers))
        {
            if (reader.Read(item) is not { } container) continue;
            if (names.Add(container.Name)) result.Add(container);
            else item.Problem("name", $"\"{FieldReader.Shown(container.Name)}\" is there twice", "give each container a name of its own");
        }
        return result.ToImmutable();
    }

    private static ImmutableArray<WorkloadImage> ReadImages(FieldReader fields)
    {
        var result = ImmutableArray.CreateBuilder<WorkloadImage>();
        var references = new HashSet<string>(StringComparer.Ordinal);
        foreach (var item in fields.Mappings("images", MaxImages))
        {
            var image = ContainerReader.ReadImage(item, "pullPolicy", "Always", "IfNotPresent");
            item.Close(name => name == "imagePullPolicy" ? "for an image it is pullPolicy" : null);
            if (image is null) continue;
            if (references.Add(image.Reference)) result.Add(image);
            else item.Problem("image", $"{image.Reference} is there twice", "keep one");
        }
        return result.ToImmutable();
    }

    private static bool IsEmpty(FieldReader fields, string name) => fields.Take(name) is null or SequenceNode { Items.Count: 0 };

    private static string? Hint(string name, bool template) => name switch
    {
        "nodeName" when template => "a set chooses nodes by nodeSelector and nodeNames",
        "initContainers" => "containers of a workload start side by side; do the first step in the container's command",
        "imagePullSecrets" => "credentials come from the node's docker config.json",
        "serviceAccountName" or "serviceAccount" => "containers have no cluster identity here",
        "securityContext" => "it belongs to each container",
        "nodeSelector" or "tolerations" => "a NodeWorkloadSet has it",
        "image" or "command" or "args" or "env" => "it belongs to an entry of containers",
        _ => null,
    };
}
