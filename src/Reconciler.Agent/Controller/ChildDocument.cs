using System.Buffers;
using System.Text.Json;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Controller;

/// <summary>
/// The body of a child. It is always the whole of what the controller owns, and always applied, also to create: fields that a POST
/// wrote would have a second owner, and an apply that leaves them out later could not remove them.
/// </summary>
internal static class ChildDocument
{
    /// <param name="set">The owner.</param>
    /// <param name="node">spec.nodeName.</param>
    /// <param name="uid">Of the child that is changed: the server then makes no new one under its name. Null = it is made.</param>
    public static byte[] Write(WorkloadSet set, string node, string? uid)
    {
        var buffer = new ArrayBufferWriter<byte>(2048);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("apiVersion", "reconciler.dev/v1alpha1");
            json.WriteString("kind", "NodeWorkload");
            WriteMetadata(json, set, node, uid);
            json.WriteStartObject("spec");
            json.WriteString("nodeName", node);
            json.WriteString("revision", set.Template.Revision);
            using var spec = JsonDocument.Parse(set.Template.Spec);
            foreach (var member in spec.RootElement.EnumerateObject())
                if (member.Name is not ("nodeName" or "revision"))
                    member.WriteTo(json);
            json.WriteEndObject();
            json.WriteEndObject();
        }
        return buffer.WrittenSpan.ToArray();
    }

    private static void WriteMetadata(Utf8JsonWriter json, WorkloadSet set, string node, string? uid)
    {
        json.WriteStartObject("metadata");
        json.WriteString("name", ChildNames.Of(set.Name.Name, node));
        json.WriteString("namespace", set.Name.Namespace);
        if (uid is not null) json.WriteString("uid", uid);
        json.WriteStartObject("labels");
        foreach (var (key, value) in set.Template.Labels)
            if (key is not (Workload.SetLabel or Workload.RevisionLabel))
                json.WriteString(key, value);
        json.WriteString(Workload.SetLabel, ChildNames.Label(set.Name.Name));
        json.WriteString(Workload.RevisionLabel, set.Template.Revision);
        json.WriteEndObject();
        if (!set.Template.Annotations.IsEmpty)
        {
            json.WriteStartObject("annotations");
            foreach (var (key, value) in set.Template.Annotations) json.WriteString(key, value);
            json.WriteEndObject();
        }
        json.WriteStartArray("finalizers");
        json.WriteStringValue(Workload.StopFinalizer);
        json.WriteEndArray();
        json.WriteStartArray("ownerReferences");
        json.WriteStartObject();
        json.WriteString("apiVersion", "reconciler.dev/v1alpha1");
        json.WriteString("kind", "NodeWorkloadSet");
        json.WriteString("name", set.Name.Name);
        json.WriteString("uid", set.Uid);
        json.WriteBoolean("controller", true);
        json.WriteBoolean("blockOwnerDeletion", true);
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteEndObject();
    }

    public static string PathOf(ObjectName name) => $"apis/reconciler.dev/v1alpha1/namespaces/{name.Namespace}/nodeworkloads/{name.Name}";
}
