namespace Reconciler.Containerd;

/// <summary>The wait for the exit of one container. Its loop is <see cref="ContainerdClient"/>'s.</summary>
internal sealed class ContainerWatch
{
    private readonly TaskCompletionSource<ExitMessage> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<ExitMessage> _exit = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public required string Id { get; init; }

    /// <summary>As in its spec.</summary>
    public required string CgroupsPath { get; init; }

    /// <summary>Its first process on the host; 0 = not known.</summary>
    public int Pid { get; init; }

    /// <summary>Cancelled when nobody waits any more.</summary>
    public required CancellationToken End { get; init; }

    /// <summary>Its exit is told to the stop hooks.</summary>
    public bool IsPublic { get; init; } = true;

    /// <summary>What is attached to its streams; null = nothing.</summary>
    public ProcessStreams? Streams { get; set; }

    /// <summary>Completes once, with the true exit, when containerd tells it.</summary>
    public Task<ExitMessage> Ended => _ended.Task;

    /// <summary>Likewise, once the output was delivered too, or nobody took it.</summary>
    public Task<ExitMessage> Exit => _exit.Task;

    public bool HasEnded => _ended.Task.IsCompleted;

    /// <summary>The loop, hooks included; set when it begins.</summary>
    public Task Loop { get; set; } = Task.CompletedTask;

    /// <summary>It has ended: its output is delivered, and then the exit is.</summary>
    public async Task CompleteAsync(ExitMessage message)
    {
        _ended.TrySetResult(message);
        if (Streams is not null) await Streams.DeliverAsync(End);
        _exit.TrySetResult(message);
    }

    /// <returns>False = it has ended before, and does not see to the streams any more.</returns>
    public bool Attach(ProcessStreams streams)
    {
        Streams = streams;
        Interlocked.MemoryBarrier();
        return !HasEnded;
    }
}
