using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Reconciler.Sources.Files;

/// <summary>
/// inotify as a hint that something changed; never what. One instance for the whole tree. Where the kernel gives none, there are simply no hints.
/// </summary>
internal sealed class FolderWatch : IDisposable
{
    private const int MaxWatches = 8192;
    private const int BufferSize = 64 << 10;

    private readonly TimeProvider _time;
    private readonly SafeFileHandle? _inotify;
    private readonly SafeFileHandle? _stop;
    private readonly Thread? _thread;
    private HashSet<int> _watches = [];
    private HashSet<int> _seen = [];
    private long _lastHint;
    private TaskCompletionSource _changed = NewSignal();

    public FolderWatch(TimeProvider time)
    {
        _time = time;
        _lastHint = time.GetTimestamp();
        var inotify = Native.InotifyInit(Native.NonBlockingCloseOnExec);
        if (inotify < 0) return;
        _inotify = new SafeFileHandle(inotify, ownsHandle: true);
        var stop = Native.EventDescriptor(0, Native.NonBlockingCloseOnExec);
        if (stop < 0)
        {
            _inotify.Dispose();
            _inotify = null;
            return;
        }
        _stop = new SafeFileHandle(stop, ownsHandle: true);
        _thread = new Thread(ReadEvents, maxStackSize: 256 << 10) { IsBackground = true, Name = "manifest folder watch" };
        _thread.Start();
    }

    /// <summary>False = changes are only seen by the full rescan.</summary>
    public bool Works => _inotify is not null;

    /// <summary>Completes with the first event after <see cref="Reset"/>.</summary>
    public Task Changed => Volatile.Read(ref _changed).Task;

    /// <summary>Timestamp of the newest event.</summary>
    public long LastHint => Volatile.Read(ref _lastHint);

    /// <summary>To be called before a scan: what happens from here on completes <see cref="Changed"/> anew.</summary>
    public void Reset()
    {
        if (Changed.IsCompleted) Volatile.Write(ref _changed, NewSignal());
    }

    /// <summary>Watches a folder or file; to be called before it is read, or a change in between goes unseen.</summary>
    public void Add(string path)
    {
        if (_inotify is null || _seen.Count >= MaxWatches) return;
        var watch = Native.InotifyAddWatch(_inotify, path, Native.Changes);
        if (watch >= 0) _seen.Add(watch);
    }

    /// <summary>Drops the watches that were not added since the last call.</summary>
    public void Prune()
    {
        if (_inotify is null) return;
        foreach (var watch in _watches)
            if (!_seen.Contains(watch))
                _ = Native.InotifyRemoveWatch(_inotify, watch);
        _watches = _seen;
        _seen = [];
    }

    public void Dispose()
    {
        if (_thread is null) return;
        Wake();
        _thread.Join();
        _stop!.Dispose();
        _inotify!.Dispose();
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private unsafe void Wake()
    {
        ulong one = 1;
        _ = Native.Write(_stop!, (byte*)&one, sizeof(ulong));
    }

    private unsafe void ReadEvents()
    {
        var buffer = (byte*)NativeMemory.Alloc(BufferSize);
        var entries = stackalloc Native.PollEntry[2];
        entries[0] = new Native.PollEntry { Descriptor = (int)_inotify!.DangerousGetHandle(), Wanted = Native.Readable };
        entries[1] = new Native.PollEntry { Descriptor = (int)_stop!.DangerousGetHandle(), Wanted = Native.Readable };
        while (true)
        {
            entries[0].Got = entries[1].Got = 0;
            _ = Native.Poll(entries, 2, -1);
            if (entries[1].Got != 0) break;
            var count = Native.Read(_inotify, buffer, BufferSize);
            if (count <= 0 || !HasChange(buffer, count)) continue;
            Volatile.Write(ref _lastHint, _time.GetTimestamp());
            Volatile.Read(ref _changed).TrySetResult();
        }
        NativeMemory.Free(buffer);
    }

    /// <summary>Our own removal of a watch answers with an event, too; it is no change.</summary>
    private static unsafe bool HasChange(byte* events, nint count)
    {
        for (nint at = 0; at + 16 <= count;)
        {
            if ((*(uint*)(events + at + 4) & Native.Ignored) == 0) return true;
            at += 16 + (nint)(*(uint*)(events + at + 12));
        }
        return false;
    }
}
