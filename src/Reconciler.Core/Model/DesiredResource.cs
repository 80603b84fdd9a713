namespace Reconciler.Core.Model;

/// <summary>One declared unit, normalised and validated once at the edge (Reconciler.Sources).</summary>
public abstract record DesiredResource
{
    private protected DesiredResource()
    {
    }

    public required ResourceKey Key { get; init; }

    /// <summary>Where it is declared: <c>file:FLAG/relative/path</c> or <c>kubernetes</c>. Not part of the hash.</summary>
    public required string Source { get; init; }
}

public enum RestartPolicy
{
    Always,
    OnFailure,
    Never,
}

public enum ImagePullPolicy
{
    Always,
    IfNotPresent,
    Never,
}

/// <summary>One container as declared. The fields of <see cref="Process"/> and below make up <see cref="Hash"/>; the others may change without a restart.</summary>
public sealed record ContainerSpec : DesiredResource
{
    public required string Namespace { get; init; }

    public required string Workload { get; init; }

    /// <summary>The container's name inside its workload.</summary>
    public required string Name { get; init; }

    /// <summary>metadata.uid where the source has one, else empty.</summary>
    public string Uid { get; init; } = "";

    /// <summary>What runs; equal values mean that a running container may stay.</summary>
    public required ContainerProcess Process { get; init; }

    public ImagePullPolicy PullPolicy { get; init; } = ImagePullPolicy.IfNotPresent;

    public RestartPolicy RestartPolicy { get; init; } = RestartPolicy.Always;

    /// <summary>Between the stop signal and SIGKILL; zero or more.</summary>
    public TimeSpan GracePeriod { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Declared, but to be stopped: nothing of it runs.</summary>
    public bool Suspend { get; init; }

    /// <summary><see cref="SpecHash.Of(ContainerProcess)"/> of <see cref="Process"/>.</summary>
    public required string Hash { get; init; }
}

/// <summary>The hashed part of a container.</summary>
public sealed record ContainerProcess
{
    /// <summary>Normalised reference with host and tag or digest, e.g. docker.io/library/busybox:latest.</summary>
    public required string Image { get; init; }

    /// <summary>Replaces the image's entrypoint; empty = the image's.</summary>
    public EquatableArray<string> Command { get; init; }

    /// <summary>Replaces the image's cmd; empty = the image's, unless Command is set.</summary>
    public EquatableArray<string> Args { get; init; }

    public EquatableArray<EnvVar> Env { get; init; }

    public string WorkingDir { get; init; } = "";

    public EquatableArray<Mount> Mounts { get; init; }

    public ResourceLimits Limits { get; init; } = new();

    public SecuritySettings Security { get; init; } = new();

    public bool HostNetwork { get; init; }

    public bool HostPid { get; init; }
}

public sealed record EnvVar(string Name, string Value);

/// <summary>A volume mounted at an absolute path of the container.</summary>
public sealed record Mount(string MountPath, bool ReadOnly, Volume Volume);

public abstract record Volume(string Name)
{
    /// <param name="Name">Name inside the workload.</param>
    /// <param name="Path">Absolute host path without <c>..</c>.</param>
    /// <param name="Type">Kubernetes' hostPath.type: "", DirectoryOrCreate, Directory, FileOrCreate, File, Socket, CharDevice, BlockDevice.</param>
    public sealed record HostPath(string Name, string Path, string Type) : Volume(Name);

    /// <param name="Name">Name inside the workload.</param>
    /// <param name="InMemory">medium: Memory, a tmpfs of one container.</param>
    /// <param name="SizeLimit">Bytes; only with <paramref name="InMemory"/>.</param>
    public sealed record EmptyDir(string Name, bool InMemory, long? SizeLimit) : Volume(Name);
}

/// <summary>Limits of the container's cgroup; null = none.</summary>
/// <param name="MilliCpu">Thousandths of a core.</param>
/// <param name="MemoryBytes">Memory and swap together stay below it.</param>
/// <param name="Pids">Processes and threads.</param>
public sealed record ResourceLimits(long? MilliCpu = null, long? MemoryBytes = null, long? Pids = null);

public sealed record SecuritySettings
{
    public long? RunAsUser { get; init; }

    public long? RunAsGroup { get; init; }

    public bool Privileged { get; init; }

    public EquatableArray<string> AddCapabilities { get; init; }

    public EquatableArray<string> DropCapabilities { get; init; }

    public bool ReadOnlyRootFilesystem { get; init; }

    /// <summary>Null = allowed, as in Kubernetes.</summary>
    public bool? AllowPrivilegeEscalation { get; init; }

    /// <summary>True = no seccomp filter. The default is the runtime's, and none for a privileged container.</summary>
    public bool SeccompUnconfined { get; init; }
}

/// <summary>One image to hold on the node, whether or not a container uses it.</summary>
public sealed record ImageSpec : DesiredResource
{
    public ImagePullPolicy PullPolicy { get; init; } = ImagePullPolicy.IfNotPresent;
}
