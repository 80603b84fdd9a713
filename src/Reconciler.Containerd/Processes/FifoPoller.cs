using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Reconciler.Containerd;

/// <summary>Waits for any number of FIFOs on one thread, which ends with it. What waits holds no thread of its own.</summary>
internal sealed partial class FifoPoller : IDisposable
{
    public const short Readable = 0x1;
    public const short Writable = 0x4;

    private readonly Lock _gate = new();
    private readonly List<Entry> _entries = [];
    private readonly SafeFileHandle _wakeRead;
    private readonly SafeFileHandle _wakeWrite;
    private readonly Thread _thread;
    private bool _ended;

    public FifoPoller()
    {
        (_wakeRead, _wakeWrite) = Fifo.Pipe();
        _thread = new Thread(Run) { IsBackground = true, Name = "fifo poller" };
        _thread.Start();
    }

    /// <summary>Completes when the FIFO is ready, or broken. Before its first writer came, a reader waits.</summary>
    public async Task WaitAsync(SafeFileHandle fifo, short events, CancellationToken cancellation)
    {
        var entry = new Entry(fifo.DangerousGetHandle().ToInt32(), events);
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_ended, this);
            _entries.Add(entry);
        }
        Fifo.Write(_wakeWrite, [1]);
        using var registration = cancellation.Register(() => Cancel(entry, cancellation));
        await entry.Ready.Task;
    }

    public void Dispose()
    {
        lock (_gate)
        {
            if (_ended) return;
            _ended = true;
        }
        Fifo.Write(_wakeWrite, [1]);
        _thread.Join();
        _wakeRead.Dispose();
        _wakeWrite.Dispose();
    }

    private void Cancel(Entry entry, CancellationToken cancellation)
    {
        lock (_gate) _entries.Remove(entry);
        entry.Ready.TrySetCanceled(cancellation);
    }

    private void Run()
    {
        var drain = new byte[64];
        while (true)
        {
            Entry[] waiting;
            bool ended;
            lock (_gate)
            {
                waiting = [.. _entries];
                ended = _ended;
            }
            if (ended)
            {
                foreach (var entry in waiting) entry.Ready.TrySetException(new ObjectDisposedException(nameof(FifoPoller)));
                return;
            }
            var polled = new PollFd[waiting.Length + 1];
            polled[0] = new PollFd { Fd = _wakeRead.DangerousGetHandle().ToInt32(), Events = Readable };
            for (var i = 0; i < waiting.Length; i++) polled[i + 1] = new PollFd { Fd = waiting[i].Fd, Events = waiting[i].Events };
            if (Poll(polled, (nuint)polled.Length, -1) <= 0) continue;
            if (polled[0].Returned != 0) Fifo.Read(_wakeRead, drain);
            for (var i = 0; i < waiting.Length; i++)
            {
                if (polled[i + 1].Returned == 0) continue;
                // A cancelled one is no longer there: its number may be another file's by now.
                bool there;
                lock (_gate) there = _entries.Remove(waiting[i]);
                if (there) waiting[i].Ready.TrySetResult();
            }
        }
    }

    private sealed class Entry(int fd, short events)
    {
        public int Fd => fd;

        public short Events => events;

        public TaskCompletionSource Ready { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct PollFd
    {
        public int Fd;
        public short Events;
        public short Returned;
    }

    [LibraryImport("libc", EntryPoint = "poll")]
    private static partial int Poll([In, Out] PollFd[] fds, nuint count, int timeout);
}
