namespace Reconciler.Agent.Logs;

/// <summary>
/// After ENOSPC a shim closes the log but keeps the pipe: its container blocks in write for good. A program that closed its own output looks alike
/// but for the pipe, so both ends of it are asked for.
/// </summary>
/// <param name="proc">The host's /proc.</param>
/// <param name="time">For the pauses.</param>
/// <param name="canWrite">The log disk has space.</param>
internal sealed class BrokenLogs(string proc, TimeProvider time, Func<bool> canWrite)
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Routine = TimeSpan.FromMinutes(10);

    private readonly LogHolders _holders = new(proc);
    private readonly Lock _lock = new();
    private DateTimeOffset? _looked;
    private DateTimeOffset? _low;
    private HashSet<string> _found = [];

    public void SawLowDisk()
    {
        lock (_lock) _low = time.GetUtcNow();
    }

    public bool WasDiskShort
    {
        get
        {
            lock (_lock) return _low is { } low && time.GetUtcNow() - low < Routine;
        }
    }

    public IReadOnlySet<string> Find(IReadOnlyCollection<RunningLog> running, bool force)
    {
        lock (_lock)
        {
            if (running.Count > 0 && (force || IsDue()) && canWrite())
            {
                _looked = time.GetUtcNow();
                _found = Look(running);
            }
            return running.Select(log => log.Id).Where(_found.Contains).ToHashSet(StringComparer.Ordinal);
        }
    }

    private bool IsDue()
    {
        var now = time.GetUtcNow();
        if (_looked is not { } looked) return true;
        return now - looked >= (_low is { } low && now - low < Routine ? Pause : Routine);
    }

    private HashSet<string> Look(IReadOnlyCollection<RunningLog> running)
    {
        if (_holders.Look() is not { } held) return [];
        return running
            .Where(log => IsBroken(held, log.Logs.Out, log.Pid, 1) || IsBroken(held, log.Logs.Err, log.Pid, 2))
            .Select(log => log.Id)
            .ToHashSet(StringComparer.Ordinal);
    }

    private bool IsBroken(Held held, string path, int pid, int descriptor) =>
        _holders.PipeOf(pid, descriptor) is { } pipe && held.Pipes.Contains(pipe) && !held.Holds(path);
}
