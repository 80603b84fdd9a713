namespace Reconciler.Containerd;

/// <summary>One holder per id inside this process.</summary>
internal sealed class IdLocks(TimeProvider time)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Entry> _entries = new(StringComparer.Ordinal);

    /// <summary>Takes the id or waits for it.</summary>
    /// <param name="id">The id.</param>
    /// <param name="limit">Zero = do not wait.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <returns>To be disposed; null = still held at the limit.</returns>
    public async Task<IDisposable?> TakeAsync(string id, TimeSpan limit, CancellationToken cancellation)
    {
        Entry entry;
        lock (_gate)
        {
            if (!_entries.TryGetValue(id, out entry!)) _entries[id] = entry = new Entry();
            entry.Users++;
        }
        var taken = false;
        try
        {
            taken = entry.Gate.Wait(0, CancellationToken.None) || (limit > TimeSpan.Zero && await WaitAsync(entry, limit, cancellation));
            return taken ? new Holder(this, id, entry) : null;
        }
        finally
        {
            if (!taken) Leave(id, entry);
        }
    }

    private async Task<bool> WaitAsync(Entry entry, TimeSpan limit, CancellationToken cancellation)
    {
        using var end = new CancellationTokenSource(limit, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(end.Token, cancellation);
        try
        {
            await entry.Gate.WaitAsync(either.Token);
            return true;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return false;
        }
    }

    private void Leave(string id, Entry entry)
    {
        lock (_gate)
        {
            if (--entry.Users > 0) return;
            _entries.Remove(id);
            entry.Gate.Dispose();
        }
    }

    private sealed class Entry
    {
        public SemaphoreSlim Gate { get; } = new(1, 1);

        public int Users { get; set; }
    }

    private sealed class Holder(IdLocks locks, string id, Entry entry) : IDisposable
    {
        private int _released;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _released, 1) != 0) return;
            entry.Gate.Release();
            locks.Leave(id, entry);
        }
    }
}
