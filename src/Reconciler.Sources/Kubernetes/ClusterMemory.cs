using System.Buffers;
using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using Reconciler.Sources.Files;

namespace Reconciler.Sources.Kubernetes;

/// <summary>What the node last knew of the cluster: enough to go on without it, and to notice a server that forgot something.</summary>
/// <param name="ResourceVersion">The highest version seen; empty = never connected.</param>
/// <param name="Regressed">A server with an older version was met and nobody has said yet that what it lacks may go.</param>
/// <param name="Objects">The last good version of each object.</param>
internal sealed record ClusterMemory(string ResourceVersion, bool Regressed, ImmutableSortedDictionary<string, RememberedObject> Objects)
{
    public static readonly ClusterMemory Empty = new("", false, ImmutableSortedDictionary.Create<string, RememberedObject>(StringComparer.Ordinal));

    public bool SameObjects(ClusterMemory other) =>
        Regressed == other.Regressed && Objects.Count == other.Objects.Count && Objects.Zip(other.Objects).All(pair => pair.First.Key == pair.Second.Key && pair.First.Value == pair.Second.Value);
}

/// <param name="Uid">metadata.uid: a new object of the same name has another one.</param>
/// <param name="Document">The accepted object as JSON.</param>
internal sealed record RememberedObject(string Uid, string Document);

/// <summary>Keeps the memory over a restart of the agent, and a reboot of the node without a cluster.</summary>
internal sealed class ClusterMemoryFile(string path)
{
    private const int Version = 1;

    private readonly ChecksummedFile _file = new(path);

    public static ClusterMemoryFile In(string stateDir) => new(Path.Combine(stateDir, "kubernetes.json"));

    /// <summary>Empty where there is no file; also where it is broken, and then <paramref name="error"/> says how.</summary>
    public ClusterMemory Load(out string? error)
    {
        try
        {
            return _file.Load(out error) is { } body ? Parse(body) : ClusterMemory.Empty;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            error = $"{path} cannot be read: {e.Message}";
            return ClusterMemory.Empty;
        }
    }

    /// <inheritdoc cref="ChecksummedFile.Save"/>
    public void Save(ClusterMemory memory)
    {
        var buffer = new ArrayBufferWriter<byte>(4096);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteNumber("version", Version);
            json.WriteString("resourceVersion", memory.ResourceVersion);
            if (memory.Regressed) json.WriteBoolean("regressed", true);
            json.WriteStartObject("objects");
            foreach (var (name, remembered) in memory.Objects)
            {
                json.WriteStartObject(name);
                json.WriteString("uid", remembered.Uid);
                json.WritePropertyName("document");
                json.WriteRawValue(remembered.Document);
                json.WriteEndObject();
            }
            json.WriteEndObject();
            json.WriteEndObject();
        }
        _file.Save(buffer.WrittenSpan);
    }

    private static ClusterMemory Parse(ReadOnlyMemory<byte> body)
    {
        using var document = JsonDocument.Parse(body, new JsonDocumentOptions { MaxDepth = 128 });
        var root = document.RootElement;
        if (root.GetProperty("version").GetInt32() != Version) return ClusterMemory.Empty;
        return new ClusterMemory(
            root.GetProperty("resourceVersion").GetString() ?? "",
            root.TryGetProperty("regressed", out var regressed) && regressed.GetBoolean(),
            root.GetProperty("objects").EnumerateObject().ToImmutableSortedDictionary(
                member => member.Name,
                member => new RememberedObject(member.Value.GetProperty("uid").GetString() ?? "", member.Value.GetProperty("document").GetRawText()),
                StringComparer.Ordinal));
    }
}
