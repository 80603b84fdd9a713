using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Reconciler.Agent.State;

/// <summary>state.json on disk: <c>{"checksum":"sha256:...","state":{...}}</c>, mode 0600, replaced as a whole by rename.</summary>
public static class StateFile
{
    public const string Name = "state.json";

    private const int MaxBytes = 256 << 20;

    public static string PathIn(string stateDir) => Path.Combine(stateDir, Name);

    /// <summary>Null when there is none.</summary>
    /// <exception cref="InvalidDataException">Damaged, or not ours, or of another version.</exception>
    public static AgentState? Read(string path)
    {
        byte[] bytes;
        try
        {
            if (new FileInfo(path) is { Exists: true, Length: > MaxBytes }) throw new InvalidDataException("it is larger than any state of ours");
            bytes = File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        try
        {
            using var document = JsonDocument.Parse(bytes);
            var root = document.RootElement;
            var state = root.GetProperty("state");
            if (root.GetProperty("checksum").GetString() != Checksum(Encoding.UTF8.GetBytes(state.GetRawText())))
            {
                throw new InvalidDataException("its checksum does not match");
            }
            var read = state.Deserialize(AgentStateJson.Default.AgentState)!;
            return read.Version == AgentState.CurrentVersion ? read : throw new InvalidDataException($"it has version {read.Version}");
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new InvalidDataException("it is not a state file of the agent", e);
        }
    }

    /// <summary>A reader sees the old file or the new one. The folder is not synced: after a power cut the older state is as good.</summary>
    /// <exception cref="IOException">The old file stays.</exception>
    public static void Write(string path, AgentState state)
    {
        var body = JsonSerializer.SerializeToUtf8Bytes(state, AgentStateJson.Default.AgentState);
        var temporary = path + ".tmp";
        File.Delete(temporary); // a leftover would keep its mode
        var create = new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        };
        using (var file = new FileStream(temporary, create))
        {
            file.Write(Encoding.UTF8.GetBytes($"{{\"checksum\":\"{Checksum(body)}\",\"state\":"));
            file.Write(body);
            file.Write("}\n"u8);
            file.Flush(flushToDisk: true);
        }
        File.Move(temporary, path, overwrite: true);
    }

    private static string Checksum(byte[] body) => "sha256:" + Convert.ToHexStringLower(SHA256.HashData(body));
}
