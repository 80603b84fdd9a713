using System.Threading.Channels;

namespace Reconciler.Agent.Logs;

/// <summary>Tells that something in a folder changed: by inotify, and by looking again each second where no watch is to be had.</summary>
internal sealed class LogChanges : IDisposable
{
    private static readonly TimeSpan LookAgain = TimeSpan.FromSeconds(1);

    private readonly Channel<bool> _hints = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly FileSystemWatcher? _watcher;
    private readonly TimeProvider _time;
    private Task<bool>? _hint;

    public LogChanges(string folder, TimeProvider time)
    {
        _time = time;
        try
        {
            _watcher = new FileSystemWatcher(folder) { NotifyFilter = NotifyFilters.Size | NotifyFilters.LastWrite | NotifyFilters.FileName };
            _watcher.Changed += (_, _) => _hints.Writer.TryWrite(true);
            _watcher.Created += (_, _) => _hints.Writer.TryWrite(true);
            _watcher.Renamed += (_, _) => _hints.Writer.TryWrite(true);
            _watcher.Error += (_, _) => _hints.Writer.TryWrite(true);
            _watcher.EnableRaisingEvents = true;
        }
        catch (Exception e) when (e is IOException or ArgumentException)
        {
            _watcher?.Dispose(); // no inotify instance left, or the folder went: looking again does
            _watcher = null;
        }
    }

    /// <summary>Returns after a change, or after a second.</summary>
    public async Task NextAsync(CancellationToken cancellation)
    {
        _hint ??= _hints.Reader.WaitToReadAsync(CancellationToken.None).AsTask();
        await Task.WhenAny(_hint, Task.Delay(LookAgain, _time, cancellation));
        if (!_hint.IsCompleted) return;
        _hints.Reader.TryRead(out _);
        _hint = null;
    }

    public void Dispose()
    {
        _watcher?.Dispose();
        _hints.Writer.TryComplete();
    }
}
