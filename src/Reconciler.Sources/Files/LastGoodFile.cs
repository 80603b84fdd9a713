using System.Buffers;
using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Reconciler.Sources.Files;

/// <summary>Keeps a folder's last good documents over a restart of the agent.</summary>
internal sealed class LastGoodFile(string path)
{
    private const int Version = 1;

    private readonly ChecksummedFile _file = new(path);

    /// <summary>Under the state dir, one per flag.</summary>
    public static LastGoodFile For(string stateDir, string flag) =>
        new(Path.Combine(stateDir, $"manifests-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(flag)).AsSpan(0, 8))}.json"));

    /// <summary>Empty where there is no file; also where it is broken, and then <paramref name="error"/> says how.</summary>
    public FolderMemory Load(out string? error)
    {
        try
        {
            return _file.Load(out error) is { } body ? Parse(body) : FolderMemory.Empty;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            error = $"{path} cannot be read: {e.Message}";
            return FolderMemory.Empty;
        }
    }

    /// <summary>Atomic and durable; writes nothing when nothing changed.</summary>
    /// <exception cref="IOException">The disk is full or gone; the old file stays.</exception>
    /// <exception cref="UnauthorizedAccessException">The state dir may not be written to.</exception>
    public void Save(FolderMemory memory) => _file.Save(Write(memory));

    private static byte[] Write(FolderMemory memory)
    {
        var buffer = new ArrayBufferWriter<byte>(4096);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteNumber("version", Version);
            if (memory.Device is { } device) json.WriteString("device", device);
            json.WriteStartObject("files");
            foreach (var (file, documents) in memory.Files)
            {
                json.WriteStartArray(file);
                foreach (var document in documents)
                {
                    json.WriteStartObject();
                    json.WriteString("identity", document.Identity);
                    json.WritePropertyName("document");
                    json.WriteRawValue(document.Json);
                    json.WriteEndObject();
                }
                json.WriteEndArray();
            }
            json.WriteEndObject();
            json.WriteEndObject();
        }
        return buffer.WrittenSpan.ToArray();
    }

    private static FolderMemory Parse(ReadOnlyMemory<byte> body)
    {
        using var document = JsonDocument.Parse(body, new JsonDocumentOptions { MaxDepth = 128 });
        var root = document.RootElement;
        if (root.GetProperty("version").GetInt32() != Version) return FolderMemory.Empty;
        var files = root.GetProperty("files").EnumerateObject().ToImmutableSortedDictionary(
            file => file.Name,
            file => file.Value.EnumerateArray()
                .Select(item => new GoodDocument(item.GetProperty("identity").GetString()!, Encoding.UTF8.GetBytes(item.GetProperty("document").GetRawText())))
                .ToImmutableArray(),
            StringComparer.Ordinal);
        return new FolderMemory(root.TryGetProperty("device", out var device) ? device.GetString() : null, files);
    }
}
