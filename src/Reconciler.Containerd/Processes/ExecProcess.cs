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
    /// those of the container's first process, and no new privileges are given where that gets none. With a terminal, an environment without
    /// TERM gets <c>TERM=xterm</c>.
    /// </summary>
    public required OciProcess Process { get; init; }

    /// <summary>Null = no input, and the output is dropped. A terminal is had also by the process's own member.</summary>
    public ContainerIO? IO { get; init; }

    internal bool Terminal => Process.Terminal || IO is { Terminal: true };

    internal void Validate()
    {
        Identifiers.Require(ContainerId, nameof(ContainerId));
        Identifiers.Require(ExecId, nameof(ExecId));
        ArgumentNullException.ThrowIfNull(Process);
        if (Process.Args is not { Count: > 0 })
            throw new ArgumentException("a process needs a program to run", nameof(Process));
        SpecRules.Require(Process);
        (IO ?? ContainerIO.None).Validate(Terminal);
    }

    /// <param name="first">The container's first process.</param>
    internal OciProcess Fill(OciProcess? first) => Process with
    {
        Terminal = Terminal,
        Env = Environment(Process.Env ?? first?.Env),
        Cwd = Process.Cwd is { Length: > 0 } own ? own : first?.Cwd is { Length: > 0 } its ? its : "/",
        User = Process.User ?? first?.User ?? new OciUser(),
        Capabilities = Process.Capabilities ?? first?.Capabilities,
        Rlimits = Process.Rlimits ?? first?.Rlimits,
        NoNewPrivileges = Process.NoNewPrivileges || first is { NoNewPrivileges: true },
        ApparmorProfile = Process.ApparmorProfile ?? first?.ApparmorProfile,
        SelinuxLabel = Process.SelinuxLabel ?? first?.SelinuxLabel,
        OomScoreAdj = Process.OomScoreAdj ?? first?.OomScoreAdj,
    };

    private IReadOnlyList<string>? Environment(IReadOnlyList<string>? variables) =>
        Terminal && variables?.Any(variable => variable.StartsWith("TERM=", StringComparison.Ordinal)) != true ? [.. variables ?? [], "TERM=xterm"] : variables;
}

/// <summary>A process that <see cref="ContainerdClient.ExecContainerAsync"/> started.</summary>
/// <param name="Pid">Process id on the host.</param>
/// <param name="Exit">
/// Its exit, once all output was delivered and nothing of it is left; the code is null if it ended unseen, as with the task. It fails with
/// <see cref="ObjectDisposedException"/> if the client is closed first; the process runs on then.
/// </param>
public sealed record StartedProcess(int Pid, Task<ExitMessage> Exit);
