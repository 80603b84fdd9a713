using Reconciler.Agent.Hosting;
using Reconciler.Agent.Runtime;

namespace Reconciler.Agent.Node;

/// <summary>Whether the host has what <c>--oci-runtime</c> and <c>--systemd-cgroup</c> need: else every container would fail, each with containerd's words.</summary>
internal static class OciRuntimeCheck
{
    private const uint AnyExecute = 0b001_001_001;

    /// <summary>Why containers cannot be made so, for a person; null = they can, or it cannot be seen from here.</summary>
    public static string? Refusal(NodeOptions options)
    {
        var host = new HostRoot(options.HostRoot);
        // Where sd_booted(3) looks.
        if (options.SystemdCgroup && host.Look("/run/systemd/system").Kind != HostFileKind.Directory)
            return $"{Settings.SystemdCgroup.Flag}: the host was not booted with systemd (no /run/systemd/system), leave it out";
        // A name is looked up on containerd's PATH, which is not ours.
        if (options.OciRuntime is not ['/', ..] path) return null;
        var file = host.Look(path);
        return file.Kind == HostFileKind.File && (file.Mode & AnyExecute) != 0
            ? null
            : $"{Settings.OciRuntime.Flag} {path}: there is no such program on the host, name one such as /usr/bin/crun";
    }
}
