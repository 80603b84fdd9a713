using System.Text.Json;
using System.Text.Json.Serialization;

namespace Reconciler.Containerd;

/// <summary>Filter of system calls.</summary>
public sealed record OciSeccomp
{
    /// <summary>For calls that no rule names, as <c>SCMP_ACT_ERRNO</c>.</summary>
    public string DefaultAction { get; set; } = "";

    /// <summary>Error number of the default action; null = EPERM.</summary>
    public uint? DefaultErrnoRet { get; set; }

    /// <summary>As <c>SCMP_ARCH_X86_64</c>.</summary>
    public IReadOnlyList<string>? Architectures { get; set; }

    /// <summary>As <c>SECCOMP_FILTER_FLAG_LOG</c>.</summary>
    public IReadOnlyList<string>? Flags { get; set; }

    /// <summary>The rules.</summary>
    public IReadOnlyList<OciSyscall>? Syscalls { get; set; }

    /// <summary>Members that this model does not name; they are kept.</summary>
    [JsonExtensionData]
    public IDictionary<string, JsonElement>? Extra { get; set; }
}

/// <summary>A rule of a filter.</summary>
public sealed record OciSyscall
{
    /// <summary>System calls; those unknown to the host are ignored.</summary>
    public IReadOnlyList<string> Names { get; set; } = [];

    /// <summary>As <c>SCMP_ACT_ALLOW</c>.</summary>
    public string Action { get; set; } = "";

    /// <summary>Error number of SCMP_ACT_ERRNO; null = EPERM.</summary>
    public uint? ErrnoRet { get; set; }

    /// <summary>All must match; null = any arguments.</summary>
    public IReadOnlyList<OciSyscallArg>? Args { get; set; }
}

/// <summary>A condition on an argument.</summary>
public sealed record OciSyscallArg
{
    /// <summary>0 to 5.</summary>
    public uint Index { get; set; }

    /// <summary>Compared with; the mask of SCMP_CMP_MASKED_EQ.</summary>
    public ulong Value { get; set; }

    /// <summary>The wanted value of SCMP_CMP_MASKED_EQ.</summary>
    public ulong ValueTwo { get; set; }

    /// <summary>As <c>SCMP_CMP_EQ</c>.</summary>
    public string Op { get; set; } = "";
}
