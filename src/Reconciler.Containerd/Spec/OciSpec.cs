using System.Text.Json;
using System.Text.Json.Serialization;

namespace Reconciler.Containerd;

/// <summary>An OCI runtime specification, version 1.0.2 and the parts of later ones that containers of today use. Members follow the standard.</summary>
public sealed record OciSpec
{
    /// <summary>Version of the standard.</summary>
    public string OciVersion { get; set; } = "1.0.2";

    /// <summary>What runs.</summary>
    public OciProcess? Process { get; set; }

    /// <summary>The root file system; containerd expects the path <c>rootfs</c>.</summary>
    public OciRoot? Root { get; set; }

    /// <summary>Host name in a uts namespace of the container's own; null = unchanged.</summary>
    public string? Hostname { get; set; }

    /// <summary>Domain name in a uts namespace of the container's own.</summary>
    public string? Domainname { get; set; }

    /// <summary>In the order in which they are made.</summary>
    public IReadOnlyList<OciMount>? Mounts { get; set; }

    /// <summary>Programs run by the runtime.</summary>
    public OciHooks? Hooks { get; set; }

    /// <summary>Free data for runtimes and shims.</summary>
    public IReadOnlyDictionary<string, string>? Annotations { get; set; }

    /// <summary>Everything that only Linux has.</summary>
    public OciLinux? Linux { get; set; }

    /// <summary>Members that this model does not name; they are kept.</summary>
    [JsonExtensionData]
    public IDictionary<string, JsonElement>? Extra { get; set; }
}

/// <summary>The root file system.</summary>
public sealed record OciRoot
{
    /// <summary>Folder, relative to the bundle or absolute.</summary>
    public string Path { get; set; } = "rootfs";

    /// <summary>Mounted read-only.</summary>
    public bool Readonly { get; set; }

    /// <summary>Members that this model does not name; they are kept.</summary>
    [JsonExtensionData]
    public IDictionary<string, JsonElement>? Extra { get; set; }
}

/// <summary>One mount.</summary>
public sealed record OciMount
{
    /// <summary>Absolute path in the container.</summary>
    public string Destination { get; set; } = "";

    /// <summary>File system type; <c>bind</c> for a bind mount.</summary>
    public string? Type { get; set; }

    /// <summary>Device, or the path on the host.</summary>
    public string? Source { get; set; }

    /// <summary>As of mount(8).</summary>
    public IReadOnlyList<string>? Options { get; set; }

    /// <summary>User ids of an id-mapped mount.</summary>
    public IReadOnlyList<OciIdMapping>? UidMappings { get; set; }

    /// <summary>Group ids of an id-mapped mount.</summary>
    public IReadOnlyList<OciIdMapping>? GidMappings { get; set; }

    /// <summary>Members that this model does not name; they are kept.</summary>
    [JsonExtensionData]
    public IDictionary<string, JsonElement>? Extra { get; set; }
}

/// <summary>Programs that the runtime runs at points of a container's life.</summary>
public sealed record OciHooks
{
    /// <summary>Before the start; outdated.</summary>
    public IReadOnlyList<OciHook>? Prestart { get; set; }

    /// <summary>After the namespaces are made, in the runtime's.</summary>
    public IReadOnlyList<OciHook>? CreateRuntime { get; set; }

    /// <summary>After the namespaces are made, in the container's.</summary>
    public IReadOnlyList<OciHook>? CreateContainer { get; set; }

    /// <summary>Before the process starts, in the container's.</summary>
    public IReadOnlyList<OciHook>? StartContainer { get; set; }

    /// <summary>After the process started.</summary>
    public IReadOnlyList<OciHook>? Poststart { get; set; }

    /// <summary>After the container was deleted.</summary>
    public IReadOnlyList<OciHook>? Poststop { get; set; }

    /// <summary>Members that this model does not name; they are kept.</summary>
    [JsonExtensionData]
    public IDictionary<string, JsonElement>? Extra { get; set; }
}

/// <summary>One program.</summary>
public sealed record OciHook
{
    /// <summary>Absolute path.</summary>
    public string Path { get; set; } = "";

    /// <summary>With the name as the first.</summary>
    public IReadOnlyList<string>? Args { get; set; }

    /// <summary>As <c>KEY=value</c>.</summary>
    public IReadOnlyList<string>? Env { get; set; }

    /// <summary>Seconds, above zero; null = no limit.</summary>
    public int? Timeout { get; set; }

    /// <summary>Members that this model does not name; they are kept.</summary>
    [JsonExtensionData]
    public IDictionary<string, JsonElement>? Extra { get; set; }
}
