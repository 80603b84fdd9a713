namespace Reconciler.Core.Engine;

/// <summary>The right to work on one key; ended once by one of its four verbs, else by <see cref="Dispose"/> as <see cref="Again"/>.</summary>
public sealed class WorkLease<TKey> : IDisposable where TKey : notnull
{
    private readonly WorkQueue<TKey> _queue;
    private bool _completed;

    internal WorkLease(WorkQueue<TKey> queue, TKey key, (int Attempt, int Passes, int Waits) counts, TimeSpan waited, CancellationTokenSource source)
    {
        (_queue, Key, Waited, Source) = (queue, key, waited, source);
        (Attempt, Passes, Waits) = counts;
        Token = source.Token;
    }

    public TKey Key { get; }

    /// <summary>From when the key was due to this lease.</summary>
    public TimeSpan Waited { get; }

    /// <summary>Failures in a row so far.</summary>
    public int Attempt { get; }

    /// <summary>Passes in a row that ended with <see cref="Again"/>.</summary>
    public int Passes { get; }

    /// <summary>Passes in a row that ended with <see cref="Wait"/>.</summary>
    public int Waits { get; }

    /// <summary>Cancelled by stop, and when a newer declaration supersedes this pass.</summary>
    public CancellationToken Token { get; }

    /// <summary>It ended with <see cref="Fail"/>.</summary>
    public bool HasFailed { get; private set; }

    internal CancellationTokenSource Source { get; }

    /// <summary>As wanted, or waiting as planned: looked at again <paramref name="after"/> (null = at the next event). Failures are forgotten.</summary>
    public void Rest(TimeSpan? after) => Complete(WorkQueue<TKey>.Completion.Rest, after);

    /// <summary>Failed: tried again <paramref name="after"/>, and hints do not shorten it.</summary>
    public void Fail(TimeSpan after)
    {
        Complete(WorkQueue<TKey>.Completion.Fail, after);
        HasFailed = true;
    }

    /// <summary>Neither: one more look <paramref name="after"/>; the count of failures stays.</summary>
    public void Again(TimeSpan after) => Complete(WorkQueue<TKey>.Completion.Again, after);

    /// <summary>Nothing could be told: looked at again <paramref name="after"/>; no other count changes.</summary>
    public void Wait(TimeSpan after) => Complete(WorkQueue<TKey>.Completion.Wait, after);

    public void Dispose()
    {
        if (!_completed) Again(TimeSpan.Zero);
        Source.Dispose();
    }

    private void Complete(WorkQueue<TKey>.Completion completion, TimeSpan? after)
    {
        if (_completed) throw new InvalidOperationException($"the lease of {Key} has ended");
        _completed = true;
        _queue.Complete(this, completion, after);
    }
}
