using System.Buffers;
using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Reconciler.Sources.Files;

/// <summary>Keeps a folder's last good documents over a restart of the agent: a checksum line, then JSON. Readable by the owner only, since env values are in it.</summary>
internal sealed class LastGoodFile(string path)
{
    private const int Version = 1;

    private byte[] _saved = [];

    /// <summary>Under the state dir, one per flag.</summary>
    public static LastGoodFile For(string stateDir, string flag) =>
        new(Path.Combine(stateDir, $"manifests-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(flag)).AsSpan(0, 8))}.json"));

    /// <summary>Empty where there is no file; also where it is broken, and then <paramref name="error"/> says how.</summary>
    public FolderMemory Load(out string? error)
    {
        error = null;
        try
        {
            var content = File.ReadAllBytes(path);
            var end = content.AsSpan().IndexOf((byte)'\n');
            if (end < 0 || !content.AsSpan(0, end).SequenceEqual(Checksum(content.AsSpan(end + 1))))
            {
                error = $"{path} is damaged";
                return FolderMemory.Empty;
            }
            var memory = Parse(content.AsMemory(end + 1));
            _saved = content;
            return memory;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return FolderMemory.Empty;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            error = $"{path} cannot be read: {e.Message}";
            return FolderMemory.Empty;
        }
    }

    /// <summary>Atomic and durable; writes nothing when nothing changed.</summary>
    /// <exception cref="IOException">The disk is full or gone; the old file stays.</exception>
    /// <exception cref="UnauthorizedAccessException">The state dir may not be written to.</exception>
    public void Save(FolderMemory memory)
    {
        var body = Write(memory);
        byte[] content = [.. Checksum(body), (byte)'\n', .. body];
        if (content.AsSpan().SequenceEqual(_saved)) return;
        Directory.CreateDirectory(Path.GetDirectoryName(path)!, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var temporary = path + ".tmp";
        File.Delete(temporary);
        var options = new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        };
        using (var file = new FileStream(temporary, options))
        {
            file.Write(content);
            file.Flush(flushToDisk: true);
        }
        File.Move(temporary, path, overwrite: true);
        _saved = content;
    }

    private static byte[] Checksum(ReadOnlySpan<byte> body) => Encoding.ASCII.GetBytes("sha256:" + Convert.ToHexStringLower(SHA256.HashData(body)));

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
