using System.Buffers;
using System.Text.Json;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Cluster;

/// <summary>The body of a server-side apply on /status.</summary>
internal static class StatusDocument
{
    /// <param name="kind">NodeWorkload or NodeWorkloadSet.</param>
    /// <param name="name">Of the object.</param>
    /// <param name="uid">With the version it keeps the write off an object that was made anew under the same name.</param>
    /// <param name="resourceVersion">The version that the status speaks of; a newer one is a conflict.</param>
    /// <param name="fields">Writes the members of status.</param>
    public static byte[] Write(string kind, ObjectName name, string uid, string resourceVersion, Action<Utf8JsonWriter> fields)
    {
        var buffer = new ArrayBufferWriter<byte>(1024);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("apiVersion", "reconciler.dev/v1alpha1");
            json.WriteString("kind", kind);
            json.WriteStartObject("metadata");
            json.WriteString("name", name.Name);
            json.WriteString("namespace", name.Namespace);
            json.WriteString("uid", uid);
            json.WriteString("resourceVersion", resourceVersion);
            json.WriteEndObject();
            json.WriteStartObject("status");
            fields(json);
            json.WriteEndObject();
            json.WriteEndObject();
        }
        return buffer.WrittenSpan.ToArray();
    }
}
