using Microsoft.Extensions.Logging;

namespace Reconciler.Containerd.Images;

/// <summary>The state of a pull's parts, shown to listeners at most every 100 ms and once at the end.</summary>
internal sealed partial class PullProgress(string image, TimeProvider time, ILogger logger)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);

    private readonly Lock _lock = new();
    private readonly List<ProgressInfo> _items = [new(image, "resolving", 0, 0, time.GetUtcNow(), time.GetUtcNow(), 0, "")];
    private readonly List<Action<IReadOnlyList<ProgressInfo>>> _listeners = [];
    private long _version = 1;
    private long _shown;

    public IReadOnlyList<ProgressInfo> Snapshot()
    {
        lock (_lock) return [.. _items];
    }

    /// <summary>Calls come one at a time, each with all items, the image first.</summary>
    public void Add(Action<IReadOnlyList<ProgressInfo>> listener)
    {
        lock (_lock) _listeners.Add(listener);
    }

    /// <summary>A call under way may still run on.</summary>
    public void Remove(Action<IReadOnlyList<ProgressInfo>> listener)
    {
        lock (_lock) _listeners.Remove(listener);
    }

    /// <summary>The image's own status.</summary>
    public void Image(string status) => Set(image, status);

    /// <summary>Adds a part, or changes its status; bytes of a part that is there count as fetched only by <see cref="Advance"/>.</summary>
    public void Set(string item, string status, long total = 0) => Change(item, known =>
        (known ?? new ProgressInfo(item, status, 0, total, DateTimeOffset.MinValue, DateTimeOffset.MinValue, 0, "")) with
        {
            Status = status,
            Offset = status switch
            {
                "done" => known?.Total ?? 0,
                "exists" => 0,
                _ => known?.Offset ?? 0,
            },
            Total = status == "exists" ? 0 : known?.Total ?? total,
            UpdatedAt = status == "waiting" ? DateTimeOffset.MinValue : time.GetUtcNow(),
        });

    public void Advance(string item, long offset) => Change(item, known => known! with
    {
        Status = "downloading",
        Offset = offset,
        StartedAt = known.StartedAt == DateTimeOffset.MinValue ? time.GetUtcNow() : known.StartedAt,
        UpdatedAt = time.GetUtcNow(),
    });

    /// <summary>Shows changes until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        using var timer = new PeriodicTimer(Interval, time);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellation)) ShowChanges();
        }
        catch (OperationCanceledException)
        {
        }
    }

    /// <summary>The last report: the state as it is, and why the pull failed, if it did.</summary>
    public void End(string? error)
    {
        lock (_lock)
        {
            _version++;
            if (error is not null) _items[0] = _items[0] with { Code = 500, ErrorMessage = error, UpdatedAt = time.GetUtcNow() };
        }
        ShowChanges();
    }

    /// <summary>Called by <see cref="RunAsync"/>, and once after its end.</summary>
    private void ShowChanges()
    {
        List<ProgressInfo> frame;
        List<Action<IReadOnlyList<ProgressInfo>>> listeners;
        lock (_lock)
        {
            if (_shown == _version) return;
            _shown = _version;
            (frame, listeners) = ([.. _items], [.. _listeners]);
        }
        foreach (var listener in listeners) Show(listener, frame);
    }

    private void Show(Action<IReadOnlyList<ProgressInfo>> listener, IReadOnlyList<ProgressInfo> frame)
    {
        try
        {
            lock (_lock)
                if (!_listeners.Contains(listener)) return;
            listener(frame);
        }
#pragma warning disable CA1031 // a broken progress display must not end a pull
        catch (Exception e)
#pragma warning restore CA1031
        {
            Remove(listener);
            LogListener(logger, e, image);
        }
    }

    private void Change(string item, Func<ProgressInfo?, ProgressInfo> change)
    {
        lock (_lock)
        {
            var index = _items.FindIndex(known => known.Ref == item);
            if (index < 0) _items.Add(change(null));
            else _items[index] = change(_items[index]);
            _version++;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The progress listener of the pull of {Image} failed and is called no more")]
    private static partial void LogListener(ILogger logger, Exception error, string image);
}
