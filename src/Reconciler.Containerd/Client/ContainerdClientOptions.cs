using Microsoft.Extensions.Logging;

namespace Reconciler.Containerd;

/// <summary>Where and how a <see cref="ContainerdClient"/> works. Checked by <see cref="ContainerdClient.ConnectAsync"/>.</summary>
public sealed record ContainerdClientOptions
{
    /// <summary>Path of containerd's unix socket; empty means the default.</summary>
    public string Address { get; init; } = DefaultAddress;

    /// <summary>containerd namespace of every call: an identifier of at most 76 characters.</summary>
    public string Namespace { get; init; } = "default";

    /// <summary>Snapshotter of containers made and images unpacked.</summary>
    public string Snapshotter { get; init; } = "overlayfs";

    /// <summary>Runtime of containers made: a shim name, or the absolute path of a shim.</summary>
    public string Runtime { get; init; } = "io.containerd.runc.v2";

    /// <summary>
    /// OCI runtime that the shim calls for containers made: its absolute path, or a name on containerd's PATH, e.g. <c>crun</c>; null = the shim's
    /// default, runc. It goes into the record with <see cref="SystemdCgroup"/> as containerd.runc.v1.Options, which only runc's shim knows.
    /// </summary>
    public string? RuntimeBinary { get; init; }

    /// <summary>
    /// The cgroups of containers made are systemd's: their spec names <c>slice:prefix:name</c>, and the container is
    /// <c>prefix-name.scope</c> in that slice. Needs a systemd on containerd's host. False = the OCI runtime makes them itself.
    /// </summary>
    public bool SystemdCgroup { get; init; }

    /// <summary>How long <see cref="ContainerdClient.ConnectAsync"/> waits for an answer; above zero.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Deadline of an ordinary RPC; above zero. Those that move data or wait for processes have larger ones of their own.</summary>
    public TimeSpan CallTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>How long Create, Recover and Destroy wait for an id that another of them holds; zero = fail at once.</summary>
    public TimeSpan LockTimeout { get; init; } = TimeSpan.Zero;

    /// <summary>
    /// Absolute path of the parent folder of FIFOs, made when it is first needed; the same path for this process and for containerd. Each process with
    /// streams has a folder of its own there, of mode 0700, that is removed at its end, or by the destroy or deletion of its container.
    /// </summary>
    public string FifoDirectory { get; init; } = "/run/containerd/fifo";

    /// <summary>Where containerd's root file system is seen from here; cgroups and image layers are read below it.</summary>
    public string HostRoot { get; init; } = "/";

    /// <summary>Registry settings of pulls.</summary>
    public RegistryOptions Registry { get; init; } = new();

    /// <summary>The clock of every wait.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Gets what nobody is told otherwise: reconnects, failed clean-up, failed hooks. Null = nothing is logged.</summary>
    public ILogger? Logger { get; init; }

    /// <summary>Told of each unary call that ended, on any thread; must neither block nor throw. Null = nobody is.</summary>
    public Action<EndedCall>? CallEnded { get; init; }

    internal CallLimits Limits { get; init; } = new();

    internal const string DefaultAddress = "/run/containerd/containerd.sock";

    private const int MaxSocketBytes = 107;

    internal string SocketPath => Address.Length == 0 ? DefaultAddress : Address;

    internal void Validate()
    {
        ArgumentNullException.ThrowIfNull(Address);
        RequirePath(SocketPath, nameof(Address));
        if (System.Text.Encoding.UTF8.GetByteCount(SocketPath) > MaxSocketBytes)
            throw new ArgumentException($"\"{Address}\" is longer than the {MaxSocketBytes} bytes of a unix socket's path", nameof(Address));
        Identifiers.Require(Namespace, nameof(Namespace));
        ArgumentException.ThrowIfNullOrEmpty(Snapshotter);
        ArgumentException.ThrowIfNullOrEmpty(Runtime);
        if (RuntimeBinary is not null) ArgumentException.ThrowIfNullOrWhiteSpace(RuntimeBinary);
        if (RuntimeBinary?.StartsWith('/') == false && RuntimeBinary.Contains('/', StringComparison.Ordinal))
            throw new ArgumentException($"\"{RuntimeBinary}\" is neither a name nor an absolute path", nameof(RuntimeBinary));
        RequirePath(FifoDirectory, nameof(FifoDirectory));
        RequirePath(HostRoot, nameof(HostRoot));
        ArgumentNullException.ThrowIfNull(Registry);
        if (Registry.HostsDirectory is { Length: > 0 } hosts) RequirePath(hosts, nameof(Registry.HostsDirectory));
        ArgumentNullException.ThrowIfNull(TimeProvider);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(ConnectTimeout, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(CallTimeout, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfLessThan(LockTimeout, TimeSpan.Zero);
        Timers.Require(ConnectTimeout, nameof(ConnectTimeout));
        Timers.Require(CallTimeout, nameof(CallTimeout));
        Timers.Require(LockTimeout, nameof(LockTimeout));
        ArgumentOutOfRangeException.ThrowIfLessThan(Registry.MaxParallelDownloads, 1);
    }

    private static void RequirePath(string path, string parameter)
    {
        ArgumentException.ThrowIfNullOrEmpty(path, parameter);
        if (path[0] != '/') throw new ArgumentException($"\"{path}\" is not an absolute path", parameter);
    }
}
