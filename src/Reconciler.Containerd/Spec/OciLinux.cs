using System.Text.Json;
using System.Text.Json.Serialization;

namespace Reconciler.Containerd;

/// <summary>Linux settings of a container.</summary>
public sealed record OciLinux
{
    /// <summary>User ids of a user namespace.</summary>
    public IReadOnlyList<OciIdMapping>? UidMappings { get; set; }

    /// <summary>Group ids of a user namespace.</summary>
    public IReadOnlyList<OciIdMapping>? GidMappings { get; set; }

    /// <summary>Kernel parameters of the namespaces.</summary>
    public IReadOnlyDictionary<string, string>? Sysctl { get; set; }

    /// <summary>Limits of the cgroup.</summary>
    public OciResources? Resources { get; set; }

    /// <summary>Absolute path below every controller; <c>slice:prefix:name</c> with the systemd driver.</summary>
    public string? CgroupsPath { get; set; }

    /// <summary>Those it does not share with the host.</summary>
    public IReadOnlyList<OciNamespace>? Namespaces { get; set; }

    /// <summary>Device nodes made in /dev.</summary>
    public IReadOnlyList<OciDevice>? Devices { get; set; }

    /// <summary>Filter of system calls; null = none.</summary>
    public OciSeccomp? Seccomp { get; set; }

    /// <summary><c>private</c>, <c>slave</c>, <c>shared</c> or <c>unbindable</c>.</summary>
    public string? RootfsPropagation { get; set; }

    /// <summary>Paths made unreadable.</summary>
    public IReadOnlyList<string>? MaskedPaths { get; set; }

    /// <summary>Paths made read-only.</summary>
    public IReadOnlyList<string>? ReadonlyPaths { get; set; }

    /// <summary>SELinux context of the mounts.</summary>
    public string? MountLabel { get; set; }

    /// <summary>Members that this model does not name; they are kept.</summary>
    [JsonExtensionData]
    public IDictionary<string, JsonElement>? Extra { get; set; }
}

/// <summary>A range of ids.</summary>
public sealed record OciIdMapping
{
    /// <summary>First in the container.</summary>
    public uint ContainerID { get; set; }

    /// <summary>First on the host.</summary>
    public uint HostID { get; set; }

    /// <summary>How many.</summary>
    public uint Size { get; set; }
}

/// <summary>One namespace.</summary>
public sealed record OciNamespace
{
    /// <summary><c>pid</c>, <c>network</c>, <c>mount</c>, <c>ipc</c>, <c>uts</c>, <c>user</c>, <c>cgroup</c> or <c>time</c>.</summary>
    public string Type { get; set; } = "";

    /// <summary>An existing one to join; null = a new one.</summary>
    public string? Path { get; set; }
}

/// <summary>A device node.</summary>
public sealed record OciDevice
{
    /// <summary>Where in the container.</summary>
    public string Path { get; set; } = "";

    /// <summary><c>c</c>, <c>b</c>, <c>u</c> or <c>p</c>.</summary>
    public string Type { get; set; } = "";

    /// <summary>Major number.</summary>
    public long Major { get; set; }

    /// <summary>Minor number.</summary>
    public long Minor { get; set; }

    /// <summary>Permission bits.</summary>
    public uint? FileMode { get; set; }

    /// <summary>Owner.</summary>
    public uint? Uid { get; set; }

    /// <summary>Group.</summary>
    public uint? Gid { get; set; }
}
