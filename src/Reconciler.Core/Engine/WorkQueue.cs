namespace Reconciler.Core.Engine;

/// <summary>Why a key is added, weakest first.</summary>
public enum Trigger
{
    /// <summary>Something may have changed. Ignored while the key waits after a failure, or our own failed attempts would spin the loop.</summary>
    Hint,

    /// <summary>A container exited: looked at now, also after a failure; the count of failures stays.</summary>
    Exit,

    /// <summary>The declaration changed: now, failures forgotten, the pass under way cancelled.</summary>
    Declared,
}

/// <param name="Due">Would be taken now.</param>
/// <param name="Later">Wait for their time.</param>
/// <param name="Taken">Are worked on.</param>
public readonly record struct QueueDepth(int Due, int Later, int Taken);

/// <summary>
/// Which key is looked at next, and when. A key is absent, queued for a time, or taken by one lease; what is added while it is
/// taken queues it again afterwards. Exits go before everything else that is due.
/// </summary>
public sealed class WorkQueue<TKey> : IDisposable where TKey : notnull
{
    private readonly TimeProvider _time;
    private readonly Lock _lock = new();
    private readonly Dictionary<TKey, Entry> _entries = [];
    private readonly SortedSet<(DateTimeOffset At, long Sequence, TKey Key)>[] _lanes;
    private readonly ITimer _timer;
    private TaskCompletionSource _wake = NewWake();
    private TaskCompletionSource? _turn;
    private long _sequence;

    public WorkQueue(TimeProvider time)
    {
        _time = time;
        var order = Comparer<(DateTimeOffset At, long Sequence, TKey Key)>.Create((a, b) => (a.At, a.Sequence).CompareTo((b.At, b.Sequence)));
        _lanes = [new(order), new(order)];
        _timer = time.CreateTimer(_ => Wake(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    public void Add(TKey key, Trigger trigger, TimeSpan delay = default)
    {
        CancellationTokenSource? superseded = null;
        lock (_lock)
        {
            var entry = Get_NeedsLock(key);
            var at = _time.GetUtcNow() + delay;
            if (trigger == Trigger.Hint && entry is { Lease: null, BackingOff: true }) return;
            if (trigger == Trigger.Hint && entry.Lease is not null) entry.HintAt = Earlier(entry.HintAt, at);
            else entry.DueAt = Earlier(entry.DueAt, at);
            entry.IsExit |= trigger == Trigger.Exit;
            if (trigger == Trigger.Declared)
            {
                (entry.Attempt, entry.Passes, entry.Waits, entry.BackingOff) = (0, 0, 0, false);
                superseded = Supersede_NeedsLock(entry);
            }
            if (entry.Lease is null) Place_NeedsLock(entry);
        }
        Cancel(superseded);
    }

    /// <summary>Puts a key where an earlier run of the agent left it: waiting after failures. A pass under way is cancelled.</summary>
    public void Restore(TKey key, int attempt, TimeSpan delay)
    {
        CancellationTokenSource? superseded;
        lock (_lock)
        {
            var entry = Get_NeedsLock(key);
            (entry.Attempt, entry.Passes, entry.Waits, entry.BackingOff) = (attempt, 0, 0, true);
            (entry.DueAt, entry.HintAt, entry.IsExit) = (_time.GetUtcNow() + delay, null, false);
            superseded = Supersede_NeedsLock(entry);
            if (entry.Lease is null) Place_NeedsLock(entry);
        }
        Cancel(superseded);
    }

    /// <summary>Waits for the next due key.</summary>
    public async ValueTask<WorkLease<TKey>> TakeAsync(CancellationToken stop)
    {
        while (true)
        {
            Task wake;
            lock (_lock)
            {
                stop.ThrowIfCancellationRequested();
                _turn?.TrySetResult();
                _turn = null;
                if (TakeDue_NeedsLock(stop) is { } lease) return lease;
                wake = _wake.Task;
                ArmTimer_NeedsLock();
            }
            await wake.WaitAsync(stop);
        }
    }

    /// <summary>Done once a taker has come for the next key, whether or not one is due: proof that somebody takes.</summary>
    public Task TurnAsync(CancellationToken cancellation)
    {
        lock (_lock)
        {
            _turn ??= NewWake();
            Wake_NeedsLock();
            return _turn.Task.WaitAsync(cancellation);
        }
    }

    /// <summary>Keys by what they wait for, at this moment.</summary>
    public QueueDepth Depth
    {
        get
        {
            lock (_lock)
            {
                var now = _time.GetUtcNow();
                var due = _entries.Values.Count(entry => entry.Place is { } place && place.At <= now);
                var taken = _entries.Values.Count(entry => entry.Lease is not null);
                return new QueueDepth(due, _entries.Count - due - taken, taken);
            }
        }
    }

    public void Dispose() => _timer.Dispose();

    internal void Complete(WorkLease<TKey> lease, Completion completion, TimeSpan? after)
    {
        lock (_lock)
        {
            var entry = _entries[lease.Key];
            entry.Lease = null;
            if (!entry.Redeclared)
            {
                entry.Attempt = completion switch { Completion.Rest => 0, Completion.Fail => entry.Attempt + 1, _ => entry.Attempt };
                entry.Passes = completion switch { Completion.Again => entry.Passes + 1, Completion.Wait => entry.Passes, _ => 0 };
                entry.Waits = completion == Completion.Wait ? entry.Waits + 1 : 0;
                entry.BackingOff = completion == Completion.Fail;
                if (_time.GetUtcNow() + after is { } next) entry.DueAt = Earlier(entry.DueAt, next);
            }
            if (entry is { HintAt: { } hint, BackingOff: false }) entry.DueAt = Earlier(entry.DueAt, hint);
            (entry.HintAt, entry.Redeclared) = (null, false);
            if (entry.DueAt is null) _entries.Remove(lease.Key);
            else Place_NeedsLock(entry);
        }
    }

    private WorkLease<TKey>? TakeDue_NeedsLock(CancellationToken stop)
    {
        var now = _time.GetUtcNow();
        foreach (var lane in _lanes)
        {
            if (lane.Count == 0 || lane.Min.At > now) continue;
            var entry = _entries[lane.Min.Key];
            var waited = now - lane.Min.At;
            lane.Remove(lane.Min);
            (entry.Place, entry.DueAt, entry.BackingOff, entry.IsExit) = (null, null, false, false);
            return entry.Lease = new WorkLease<TKey>(this, entry.Key, (entry.Attempt, entry.Passes, entry.Waits), waited, CancellationTokenSource.CreateLinkedTokenSource(stop));
        }
        return null;
    }

    private static CancellationTokenSource? Supersede_NeedsLock(Entry entry)
    {
        entry.Redeclared = entry.Lease is not null;
        return entry.Lease?.Source;
    }

    // Outside of the lock: what hears of it may come back to the queue.
    private static void Cancel(CancellationTokenSource? superseded)
    {
        try
        {
            superseded?.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // The pass ended meanwhile.
        }
    }

    private void Place_NeedsLock(Entry entry)
    {
        if (entry.Place is { } old) _lanes[old.Lane].Remove((old.At, old.Sequence, entry.Key));
        var place = (Lane: entry.IsExit ? 0 : 1, At: entry.DueAt!.Value, Sequence: ++_sequence);
        _lanes[place.Lane].Add((place.At, place.Sequence, entry.Key));
        entry.Place = place;
        Wake_NeedsLock();
    }

    private void ArmTimer_NeedsLock()
    {
        var next = _lanes.Where(lane => lane.Count > 0).Select(lane => lane.Min.At).DefaultIfEmpty(DateTimeOffset.MaxValue).Min();
        if (next == DateTimeOffset.MaxValue) return;
        var wait = Math.Clamp(Math.Ceiling((next - _time.GetUtcNow()).TotalMilliseconds), 0, TimeSpan.FromDays(1).TotalMilliseconds);
        _timer.Change(TimeSpan.FromMilliseconds(wait), Timeout.InfiniteTimeSpan);
    }

    private void Wake()
    {
        lock (_lock) Wake_NeedsLock();
    }

    private void Wake_NeedsLock()
    {
        _wake.TrySetResult();
        _wake = NewWake();
    }

    private Entry Get_NeedsLock(TKey key)
    {
        if (!_entries.TryGetValue(key, out var entry)) _entries[key] = entry = new Entry(key);
        return entry;
    }

    private static DateTimeOffset Earlier(DateTimeOffset? current, DateTimeOffset at) => current is { } known && known < at ? known : at;

    private static TaskCompletionSource NewWake() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    internal enum Completion
    {
        Rest,
        Fail,
        Again,
        Wait,
    }

    private sealed class Entry(TKey key)
    {
        public TKey Key { get; } = key;

        public WorkLease<TKey>? Lease { get; set; }

        public (int Lane, DateTimeOffset At, long Sequence)? Place { get; set; }

        /// <summary>Queued for, or wanted again after the lease.</summary>
        public DateTimeOffset? DueAt { get; set; }

        /// <summary>The earliest hint that came during the lease: it counts unless the pass fails.</summary>
        public DateTimeOffset? HintAt { get; set; }

        public bool BackingOff { get; set; }

        public bool IsExit { get; set; }

        /// <summary>The declaration changed during the lease, whose outcome therefore counts for nothing.</summary>
        public bool Redeclared { get; set; }

        public int Attempt { get; set; }

        public int Passes { get; set; }

        public int Waits { get; set; }
    }
}
