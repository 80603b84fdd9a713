using System.Text.Json;
using System.Text.Json.Serialization;

namespace Reconciler.Containerd;

/// <summary>The first process of a container, or one executed in it.</summary>
public sealed record OciProcess
{
    /// <summary>Has a terminal of its own.</summary>
    public bool Terminal { get; set; }

    /// <summary>Size of the terminal at the start.</summary>
    public OciBox? ConsoleSize { get; set; }

    /// <summary>Who it runs as; null = as the image says.</summary>
    public OciUser? User { get; set; }

    /// <summary>Program and arguments; null or empty = as the image says.</summary>
    public IReadOnlyList<string>? Args { get; set; }

    /// <summary>As <c>KEY=value</c>; a key replaces the image's.</summary>
    public IReadOnlyList<string>? Env { get; set; }

    /// <summary>Absolute working folder; null or empty = as the image says, else <c>/</c>.</summary>
    public string? Cwd { get; set; }

    /// <summary>Null = all dropped.</summary>
    public OciCapabilities? Capabilities { get; set; }

    /// <summary>Resource limits of the process.</summary>
    public IReadOnlyList<OciRlimit>? Rlimits { get; set; }

    /// <summary>No set-user-id program gains anything.</summary>
    public bool NoNewPrivileges { get; set; }

    /// <summary>Name of a loaded profile.</summary>
    public string? ApparmorProfile { get; set; }

    /// <summary>-1000 to 1000.</summary>
    public int? OomScoreAdj { get; set; }

    /// <summary>SELinux context.</summary>
    public string? SelinuxLabel { get; set; }

    /// <summary>Members that this model does not name; they are kept.</summary>
    [JsonExtensionData]
    public IDictionary<string, JsonElement>? Extra { get; set; }
}

/// <summary>A size in characters.</summary>
public sealed record OciBox
{
    /// <summary>Rows.</summary>
    public uint Height { get; set; }

    /// <summary>Columns.</summary>
    public uint Width { get; set; }
}

/// <summary>User and groups of a process, as numbers.</summary>
public sealed record OciUser
{
    /// <summary>User id.</summary>
    public uint Uid { get; set; }

    /// <summary>Primary group id.</summary>
    public uint Gid { get; set; }

    /// <summary>File mode mask.</summary>
    public uint? Umask { get; set; }

    /// <summary>Supplementary groups.</summary>
    public IReadOnlyList<uint>? AdditionalGids { get; set; }

    /// <summary>Members that this model does not name; they are kept.</summary>
    [JsonExtensionData]
    public IDictionary<string, JsonElement>? Extra { get; set; }
}

/// <summary>Capability sets, by full names as <c>CAP_CHOWN</c>.</summary>
public sealed record OciCapabilities
{
    /// <summary>The bounding set.</summary>
    public IReadOnlyList<string>? Bounding { get; set; }

    /// <summary>The effective set.</summary>
    public IReadOnlyList<string>? Effective { get; set; }

    /// <summary>The inheritable set.</summary>
    public IReadOnlyList<string>? Inheritable { get; set; }

    /// <summary>The permitted set.</summary>
    public IReadOnlyList<string>? Permitted { get; set; }

    /// <summary>The ambient set.</summary>
    public IReadOnlyList<string>? Ambient { get; set; }
}

/// <summary>One resource limit.</summary>
public sealed record OciRlimit
{
    /// <summary>As <c>RLIMIT_NOFILE</c>.</summary>
    public string Type { get; set; } = "";

    /// <summary>Enforced value.</summary>
    public ulong Soft { get; set; }

    /// <summary>Ceiling of the soft one.</summary>
    public ulong Hard { get; set; }
}
