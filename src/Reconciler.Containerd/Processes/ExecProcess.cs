namespace Reconciler.Containerd;

/// <summary>A further process for a running container, to be started by <see cref="ContainerdClient.ExecContainerAsync"/>.</summary>
public sealed record ExecProcess
{
    /// <summary>The container's id.</summary>
    public required string ContainerId { get; init; }

    /// <summary>An identifier of at most 76 characters that no other process of the container has.</summary>
    public required string ExecId { get; init; }

    /// <summary>
    /// What to run. Its arguments must be given; environment, working folder, user, capabilities, limits and security labels that are null are
    /// those of the container's first process, and no new privileges are given where that gets none.
    /// </summary>
    public required OciProcess Process { get; init; }

    /// <summary>Read to its end for the standard input, which then ends too; null = none. It is not closed.</summary>
    public Stream? Stdin { get; init; }

    /// <summary>Gets the standard output, byte for byte; while it does not take any the process waits. Null = dropped. It is not closed.</summary>
    public Stream? Stdout { get; init; }

    /// <summary>Likewise the standard error.</summary>
    public Stream? Stderr { get; init; }

    internal void Validate()
    {
        Identifiers.Require(ContainerId, nameof(ContainerId));
        Identifiers.Require(ExecId, nameof(ExecId));
        ArgumentNullException.ThrowIfNull(Process);
        if (Process.Args is not { Count: > 0 })
            throw new ArgumentException("a process needs a program to run", nameof(Process));
        if (Process.Terminal) throw new ArgumentException("a process in a running container gets no terminal", nameof(Process));
        SpecRules.Require(Process);
        if (Stdin is { CanRead: false }) throw new ArgumentException("it cannot be read", nameof(Stdin));
        if (Stdout is { CanWrite: false }) throw new ArgumentException("it cannot be written", nameof(Stdout));
        if (Stderr is { CanWrite: false }) throw new ArgumentException("it cannot be written", nameof(Stderr));
    }

    /// <param name="first">The container's first process.</param>
    internal OciProcess Fill(OciProcess? first) => Process with
    {
        Env = Process.Env ?? first?.Env,
        Cwd = Process.Cwd is { Length: > 0 } own ? own : first?.Cwd is { Length: > 0 } its ? its : "/",
        User = Process.User ?? first?.User ?? new OciUser(),
        Capabilities = Process.Capabilities ?? first?.Capabilities,
        Rlimits = Process.Rlimits ?? first?.Rlimits,
        NoNewPrivileges = Process.NoNewPrivileges || first is { NoNewPrivileges: true },
        ApparmorProfile = Process.ApparmorProfile ?? first?.ApparmorProfile,
        SelinuxLabel = Process.SelinuxLabel ?? first?.SelinuxLabel,
        OomScoreAdj = Process.OomScoreAdj ?? first?.OomScoreAdj,
    };
}

/// <summary>A process that <see cref="ContainerdClient.ExecContainerAsync"/> started.</summary>
/// <param name="Pid">Process id on the host.</param>
/// <param name="Exit">
/// Its exit, once all output was delivered and nothing of it is left; the code is null if it ended unseen, as with the task. It fails with
/// <see cref="ObjectDisposedException"/> if the client is closed first; the process runs on then.
/// </param>
public sealed record StartedProcess(int Pid, Task<ExitMessage> Exit);
