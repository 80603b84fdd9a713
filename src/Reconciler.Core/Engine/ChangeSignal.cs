namespace Reconciler.Core.Engine;

/// <summary>Tells that something changed, to whoever took <see cref="Next"/> before; a reader takes it, reads, and then waits.</summary>
public sealed class ChangeSignal
{
    private volatile TaskCompletionSource _next = New();

    /// <summary>Done with the next change.</summary>
    public Task Next => _next.Task;

    public void Raise() => Interlocked.Exchange(ref _next, New()).TrySetResult();

    private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
