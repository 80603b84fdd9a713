using Reconciler.Core.Model;

namespace Reconciler.Sources.Manifests;

/// <summary>securityContext of a container. What is spelled out and equals the default leaves no trace, so that the hash is the same.</summary>
internal static class SecurityReader
{
    private static readonly string[] Capabilities =
    [
        "ALL", "AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN", "DAC_OVERRIDE",
        "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE",
        "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP", "SETUID",
        "SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO",
        "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "WAKE_ALARM",
    ];

    public static SecuritySettings Read(FieldReader? fields)
    {
        if (fields is null) return new SecuritySettings();
        var privileged = fields.Boolean("privileged") ?? false;
        var escalation = fields.Boolean("allowPrivilegeEscalation");
        if (privileged && escalation == false)
            fields.Problem("allowPrivilegeEscalation", "cannot be false for a privileged container", "remove one of the two");
        var capabilities = fields.Mapping("capabilities");
        var profile = fields.Mapping("seccompProfile");
        var settings = new SecuritySettings
        {
            RunAsUser = fields.Integer("runAsUser", 0, int.MaxValue),
            RunAsGroup = fields.Integer("runAsGroup", 0, int.MaxValue),
            Privileged = privileged,
            AddCapabilities = ReadCapabilities(capabilities, "add"),
            DropCapabilities = ReadCapabilities(capabilities, "drop"),
            ReadOnlyRootFilesystem = fields.Boolean("readOnlyRootFilesystem") ?? false,
            AllowPrivilegeEscalation = escalation == false ? false : null,
            SeccompUnconfined = ReadSeccomp(profile) ?? privileged,
        };
        capabilities?.Close();
        fields.Close(name => name switch
        {
            "runAsNonRoot" => "set runAsUser",
            "fsGroup" or "supplementalGroups" => "only runAsUser and runAsGroup exist here",
            _ => null,
        });
        return settings;
    }

    private static EquatableArray<string> ReadCapabilities(FieldReader? fields, string name)
    {
        if (fields is null) return [];
        var result = new SortedSet<string>(StringComparer.Ordinal);
        var index = 0;
        foreach (var text in fields.Texts(name, 64))
        {
            var place = $"{name}[{index++}]";
            var bare = text.StartsWith("CAP_", StringComparison.Ordinal) ? text[4..] : text;
            if (Capabilities.Contains(bare)) result.Add(bare);
            else fields.Problem(place, $"no capability \"{FieldReader.Shown(text)}\"", Nearest.Find(bare, Capabilities) is { } near ? $"did you mean \"{near}\"?" : "see capabilities(7)");
        }
        return result.ToEquatableArray();
    }

    private static bool? ReadSeccomp(FieldReader? profile)
    {
        if (profile is null) return null;
        var type = profile.RequiredText("type") is null ? null : profile.Choice("type", "RuntimeDefault", "Unconfined");
        profile.Close(name => name == "localhostProfile" ? "only RuntimeDefault and Unconfined exist here" : null);
        return type is null ? null : type == "Unconfined";
    }
}
