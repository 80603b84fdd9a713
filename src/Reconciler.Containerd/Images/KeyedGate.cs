namespace Reconciler.Containerd.Images;

/// <summary>One at a time per key.</summary>
internal sealed class KeyedGate
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, Slot> _slots = new(StringComparer.Ordinal);

    /// <summary>Waits for the key; disposing the result lets the next one in.</summary>
    public async Task<IDisposable> EnterAsync(string key, CancellationToken cancellation)
    {
        Slot? slot;
        lock (_lock)
        {
            if (!_slots.TryGetValue(key, out slot)) _slots[key] = slot = new Slot();
            slot.Users++;
        }
        try
        {
            await slot.Gate.WaitAsync(cancellation);
            return new Entry(this, key, slot);
        }
        catch
        {
            Leave(key, slot);
            throw;
        }
    }

    private void Leave(string key, Slot slot)
    {
        lock (_lock)
        {
            if (--slot.Users > 0) return;
            _slots.Remove(key);
            slot.Gate.Dispose();
        }
    }

    private sealed class Slot
    {
        public SemaphoreSlim Gate { get; } = new(1, 1);

        public int Users { get; set; }
    }

    private sealed class Entry(KeyedGate owner, string key, Slot slot) : IDisposable
    {
        public void Dispose()
        {
            slot.Gate.Release();
            owner.Leave(key, slot);
        }
    }
}
