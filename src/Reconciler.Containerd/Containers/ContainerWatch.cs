namespace Reconciler.Containerd;

/// <summary>The wait for the exit of one container. Its loop is <see cref="ContainerdClient"/>'s.</summary>
internal sealed class ContainerWatch
{
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

    /// <summary>Completes once, with the true exit.</summary>
    public Task<ExitMessage> Exit => _exit.Task;

    public bool HasExited => _exit.Task.IsCompleted;

    /// <summary>The loop, hooks included; set when it begins.</summary>
    public Task Loop { get; set; } = Task.CompletedTask;

    public void Complete(ExitMessage message) => _exit.TrySetResult(message);
}
