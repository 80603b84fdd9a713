namespace Reconciler.Core.Engine;

/// <summary>Limits how much runc work is under way at once; heals go first. Pulls, grace periods and backoff do not pass here.</summary>
public sealed class RuncGate(int slots)
{
    private readonly Lock _lock = new();
    private readonly Queue<TaskCompletionSource> _heals = new();
    private readonly Queue<TaskCompletionSource> _others = new();
    private int _free = slots;

    /// <summary>Waits for a slot; dispose the result to give it back.</summary>
    public async ValueTask<IDisposable> EnterAsync(bool heal, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        TaskCompletionSource turn;
        lock (_lock)
        {
            if (_free > 0)
            {
                _free--;
                return new Slot(this);
            }
            turn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            (heal ? _heals : _others).Enqueue(turn);
        }
        using (cancellation.UnsafeRegister(static (state, token) => ((TaskCompletionSource)state!).TrySetCanceled(token), turn))
        {
            await turn.Task;
        }
        return new Slot(this);
    }

    private void Leave()
    {
        lock (_lock)
        {
            // A turn that was cancelled while it waited does not take the slot.
            while (_heals.TryDequeue(out var turn) || _others.TryDequeue(out turn))
            {
                if (turn.TrySetResult()) return;
            }
            _free++;
        }
    }

    private sealed class Slot(RuncGate gate) : IDisposable
    {
        private RuncGate? _gate = gate;

        public void Dispose() => Interlocked.Exchange(ref _gate, null)?.Leave();
    }
}
