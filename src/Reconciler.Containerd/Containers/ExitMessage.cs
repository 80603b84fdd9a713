namespace Reconciler.Containerd;

/// <summary>How a container or process ended, or why that is not known.</summary>
public sealed record ExitMessage
{
    /// <summary>0 to 255; 128 + n after signal n. Null = unknown: it ended unseen, never ran, or <see cref="Error"/> says why.</summary>
    public int? ExitCode { get; init; }

    /// <summary>When it ended, by containerd; when that was noticed, if the code is unknown; the default value if it has not ended.</summary>
    public DateTimeOffset ExitTime { get; init; }

    /// <summary>Why there is no exit to tell: ContainerNotfound, Timeout. A code other than zero is no error.</summary>
    public ContainerdException? Error { get; init; }

    /// <summary>Why the process never started.</summary>
    public ContainerdException? StartError { get; init; }

    /// <summary>There is an <see cref="Error"/> or a <see cref="StartError"/>.</summary>
    public bool HasError => Error is not null || StartError is not null;
}

/// <summary>How <see cref="ContainerdClient.DestroyContainerAsync"/> ends a container.</summary>
public sealed record StopOptions
{
    /// <summary>Sent first, to the container's first process: 1 to 64; null = none, it only gets the time to end by itself.</summary>
    public int? Signal { get; init; } = Signals.Term;

    /// <summary>Take the container's own stop signal, where it has one, in place of <see cref="Signal"/>.</summary>
    public bool UseImageSignal { get; init; }

    /// <summary>Time until everything in it gets SIGKILL; zero to 49 days. Zero sends SIGKILL at once and no other signal.</summary>
    public TimeSpan Grace { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Called once it ended and before anything is deleted. If it throws, nothing is deleted.</summary>
    public Func<ExitMessage, CancellationToken, Task>? BeforeDelete { get; init; }

    internal void Validate()
    {
        if (Signal is { } signal)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(signal, 1);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(signal, Signals.Max);
        }
        ArgumentOutOfRangeException.ThrowIfLessThan(Grace, TimeSpan.Zero);
        Timers.Require(Grace, nameof(Grace));
    }
}
