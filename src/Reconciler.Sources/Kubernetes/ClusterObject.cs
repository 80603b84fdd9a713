using System.Buffers;
using System.Text.Json;

namespace Reconciler.Sources.Kubernetes;

/// <summary>Names an object among those of its kind.</summary>
/// <param name="Namespace">Empty for kinds of the whole cluster.</param>
/// <param name="Name">metadata.name.</param>
public readonly record struct ObjectName(string Namespace, string Name)
{
    public override string ToString() => Namespace.Length == 0 ? Name : $"{Namespace}/{Name}";
}

/// <summary>
/// An object as the API server gave it, without metadata.managedFields and status.images: the ones are about half of it, the others most of a Node, and
/// nobody here reads them.
/// </summary>
public sealed class ClusterObject
{
    private ClusterObject(JsonElement element, JsonElement metadata, byte[] json)
    {
        Revision = element.TryGetProperty("spec", out var spec) && spec.ValueKind == JsonValueKind.Object ? Text(spec, "revision") : "";
        Name = new ObjectName(Text(metadata, "namespace"), Text(metadata, "name"));
        Uid = Text(metadata, "uid");
        ResourceVersion = Text(metadata, "resourceVersion");
        Generation = metadata.TryGetProperty("generation", out var generation) && generation.TryGetInt64(out var number) ? number : 0;
        IsDeleting = metadata.TryGetProperty("deletionTimestamp", out var deletion) && deletion.ValueKind == JsonValueKind.String;
        Json = json;
    }

    public ObjectName Name { get; }

    public string Uid { get; }

    public string ResourceVersion { get; }

    /// <summary>Counts changes of the spec, from 1.</summary>
    public long Generation { get; }

    /// <summary>Its deletion was asked for and waits for finalizers.</summary>
    public bool IsDeleting { get; }

    /// <summary>spec.revision; empty where there is none.</summary>
    public string Revision { get; }

    /// <summary>UTF-8.</summary>
    public byte[] Json { get; }

    /// <summary>Name, uid and spec alone: what a node needs to carry it out, and what stays the same while only its status changes.</summary>
    public byte[] Document
    {
        get
        {
            using var document = JsonDocument.Parse(Json);
            var buffer = new ArrayBufferWriter<byte>(1024);
            using (var json = new Utf8JsonWriter(buffer))
            {
                json.WriteStartObject();
                foreach (var member in document.RootElement.EnumerateObject())
                    if (member.Name is "apiVersion" or "kind" or "spec")
                        member.WriteTo(json);
                json.WriteStartObject("metadata");
                if (Name.Namespace.Length > 0) json.WriteString("namespace", Name.Namespace);
                json.WriteString("name", Name.Name);
                json.WriteString("uid", Uid);
                json.WriteEndObject();
                json.WriteEndObject();
            }
            return buffer.WrittenSpan.ToArray();
        }
    }

    /// <exception cref="JsonException">It has no metadata.</exception>
    public static ClusterObject From(JsonElement element)
    {
        if (element.ValueKind != JsonValueKind.Object || !element.TryGetProperty("metadata", out var metadata) || metadata.ValueKind != JsonValueKind.Object)
            throw new JsonException("an object without metadata");
        return new ClusterObject(element, metadata, Strip(element));
    }

    /// <summary>The reverse of <see cref="Json"/>.</summary>
    /// <exception cref="JsonException">It is no object.</exception>
    public static ClusterObject Parse(ReadOnlyMemory<byte> json)
    {
        using var document = JsonDocument.Parse(json);
        return From(document.RootElement);
    }

    private static byte[] Strip(JsonElement element)
    {
        var buffer = new ArrayBufferWriter<byte>(1024);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            foreach (var member in element.EnumerateObject())
            {
                var left = member.Name switch { "metadata" => "managedFields", "status" => "images", _ => "" };
                if (left.Length == 0 || member.Value.ValueKind != JsonValueKind.Object) member.WriteTo(json);
                else WriteWithout(left, member, json);
            }
            json.WriteEndObject();
        }
        return buffer.WrittenSpan.ToArray();
    }

    private static void WriteWithout(string name, JsonProperty member, Utf8JsonWriter json)
    {
        json.WriteStartObject(member.Name);
        foreach (var field in member.Value.EnumerateObject())
            if (field.Name != name)
                field.WriteTo(json);
        json.WriteEndObject();
    }

    private static string Text(JsonElement parent, string name) =>
        parent.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString()! : "";
}
