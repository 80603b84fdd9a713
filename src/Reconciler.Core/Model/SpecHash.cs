using System.Buffers;
using System.Security.Cryptography;
using System.Text.Json;

namespace Reconciler.Core.Model;

/// <summary>Versioned hash of canonical JSON with defaults left out: an upgrade of the agent must never change it, since every container would restart.</summary>
public static class SpecHash
{
    /// <summary><c>v1-</c> and the first 32 hex digits of the SHA-256 of <see cref="Canonical"/>; fits a label value.</summary>
    public static string Of(ContainerProcess process) =>
        "v1-" + Convert.ToHexStringLower(SHA256.HashData(Canonical(process)).AsSpan(0, 16));

    /// <summary>UTF-8 JSON: keys in a fixed order, defaults left out. Also the container extension that explains a later change.</summary>
    public static byte[] Canonical(ContainerProcess process)
    {
        var buffer = new ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("image", process.Image);
            Strings(json, "command", process.Command);
            Strings(json, "args", process.Args);
            Env(json, process.Env);
            if (process.WorkingDir.Length > 0) json.WriteString("workingDir", process.WorkingDir);
            Mounts(json, process.Mounts);
            Limits(json, process.Limits);
            Security(json, process.Security);
            if (process.HostNetwork) json.WriteBoolean("hostNetwork", true);
            if (process.HostPid) json.WriteBoolean("hostPID", true);
            json.WriteEndObject();
        }
        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>The reverse of <see cref="Canonical"/>; null for bytes this version cannot read.</summary>
    public static ContainerProcess? Parse(ReadOnlyMemory<byte> canonical)
    {
        try
        {
            using var document = JsonDocument.Parse(canonical);
            var root = document.RootElement;
            return new ContainerProcess
            {
                Image = root.GetProperty("image").GetString()!,
                Command = Strings(root, "command"),
                Args = Strings(root, "args"),
                Env = List(root, "env", e => new EnvVar(Text(e, "name"), Text(e, "value"))),
                WorkingDir = Text(root, "workingDir"),
                Mounts = List(root, "mounts", ReadMount),
                Limits = ReadLimits(root),
                Security = ReadSecurity(root),
                HostNetwork = Flag(root, "hostNetwork"),
                HostPid = Flag(root, "hostPID"),
            };
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            return null;
        }
    }

    private static void Strings(Utf8JsonWriter json, string name, EquatableArray<string> values)
    {
        if (values.Count == 0) return;
        json.WriteStartArray(name);
        foreach (var value in values) json.WriteStringValue(value);
        json.WriteEndArray();
    }

    private static void Env(Utf8JsonWriter json, EquatableArray<EnvVar> env)
    {
        if (env.Count == 0) return;
        json.WriteStartArray("env");
        foreach (var (name, value) in env)
        {
            json.WriteStartObject();
            json.WriteString("name", name);
            json.WriteString("value", value);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static void Mounts(Utf8JsonWriter json, EquatableArray<Mount> mounts)
    {
        if (mounts.Count == 0) return;
        json.WriteStartArray("mounts");
        foreach (var mount in mounts)
        {
            json.WriteStartObject();
            json.WriteString("mountPath", mount.MountPath);
            if (mount.ReadOnly) json.WriteBoolean("readOnly", true);
            json.WriteString("volume", mount.Volume.Name);
            switch (mount.Volume)
            {
                case Volume.HostPath host:
                    json.WriteString("hostPath", host.Path);
                    if (host.Type.Length > 0) json.WriteString("type", host.Type);
                    break;
                case Volume.EmptyDir { InMemory: true } memory:
                    json.WriteString("medium", "Memory");
                    if (memory.SizeLimit is { } limit) json.WriteNumber("sizeLimit", limit);
                    break;
            }
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static void Limits(Utf8JsonWriter json, ResourceLimits limits)
    {
        if (limits == new ResourceLimits()) return;
        json.WriteStartObject("limits");
        if (limits.MilliCpu is { } cpu) json.WriteNumber("milliCpu", cpu);
        if (limits.MemoryBytes is { } memory) json.WriteNumber("memory", memory);
        if (limits.Pids is { } pids) json.WriteNumber("pids", pids);
        json.WriteEndObject();
    }

    private static void Security(Utf8JsonWriter json, SecuritySettings security)
    {
        if (security == new SecuritySettings()) return;
        json.WriteStartObject("security");
        if (security.RunAsUser is { } user) json.WriteNumber("runAsUser", user);
        if (security.RunAsGroup is { } group) json.WriteNumber("runAsGroup", group);
        if (security.Privileged) json.WriteBoolean("privileged", true);
        Strings(json, "add", security.AddCapabilities);
        Strings(json, "drop", security.DropCapabilities);
        if (security.ReadOnlyRootFilesystem) json.WriteBoolean("readOnlyRootFilesystem", true);
        if (security.AllowPrivilegeEscalation is { } allow) json.WriteBoolean("allowPrivilegeEscalation", allow);
        if (security.SeccompUnconfined) json.WriteBoolean("seccompUnconfined", true);
        json.WriteEndObject();
    }

    private static Mount ReadMount(JsonElement mount)
    {
        var name = Text(mount, "volume");
        Volume volume = mount.TryGetProperty("hostPath", out var path)
            ? new Volume.HostPath(name, path.GetString()!, Text(mount, "type"))
            : new Volume.EmptyDir(name, Text(mount, "medium") == "Memory", Number(mount, "sizeLimit"));
        return new Mount(Text(mount, "mountPath"), Flag(mount, "readOnly"), volume);
    }

    private static ResourceLimits ReadLimits(JsonElement root) => root.TryGetProperty("limits", out var limits)
        ? new ResourceLimits(Number(limits, "milliCpu"), Number(limits, "memory"), Number(limits, "pids"))
        : new ResourceLimits();

    private static SecuritySettings ReadSecurity(JsonElement root) => !root.TryGetProperty("security", out var security)
        ? new SecuritySettings()
        : new SecuritySettings
        {
            RunAsUser = Number(security, "runAsUser"),
            RunAsGroup = Number(security, "runAsGroup"),
            Privileged = Flag(security, "privileged"),
            AddCapabilities = Strings(security, "add"),
            DropCapabilities = Strings(security, "drop"),
            ReadOnlyRootFilesystem = Flag(security, "readOnlyRootFilesystem"),
            AllowPrivilegeEscalation = security.TryGetProperty("allowPrivilegeEscalation", out var allow) ? allow.GetBoolean() : null,
            SeccompUnconfined = Flag(security, "seccompUnconfined"),
        };

    private static string Text(JsonElement parent, string name) =>
        parent.TryGetProperty(name, out var value) ? value.GetString() ?? "" : "";

    private static long? Number(JsonElement parent, string name) =>
        parent.TryGetProperty(name, out var value) ? value.GetInt64() : null;

    private static bool Flag(JsonElement parent, string name) =>
        parent.TryGetProperty(name, out var value) && value.GetBoolean();

    private static EquatableArray<string> Strings(JsonElement parent, string name) => List(parent, name, e => e.GetString() ?? "");

    private static EquatableArray<T> List<T>(JsonElement parent, string name, Func<JsonElement, T> read) where T : IEquatable<T> =>
        parent.TryGetProperty(name, out var array) ? array.EnumerateArray().Select(read).ToEquatableArray() : [];
}
