using Microsoft.Extensions.Logging;
using Reconciler.Agent.Hosting;
using Reconciler.Agent.Metrics;
using Reconciler.Agent.Node;

namespace Reconciler.Agent.Logs;

/// <summary>
/// Bounds all logs of the node: cuts files above <see cref="NodeOptions.LogMaxBytes"/> into pieces of that size and keeps <see cref="NodeOptions.LogMaxFiles"/>
/// of them, the live file included; keeps the newest incarnations, the logs of the node below their limit and the reserve of the disk free; removes what
/// removed containers left. A quiet log costs one stat each 5 s, which bounds how far a file can grow above its cap: by what is written in 5 s
/// after a quiet time, and by about half a second's writing afterwards, since a growing file is looked at sooner.
/// </summary>
public sealed partial class LogCutter
{
    /// <summary>How long the logs of a removed container stay.</summary>
    public static readonly TimeSpan KeptAfterRemoval = TimeSpan.FromHours(24);

    private const int KeptIncarnations = 3;
    private static readonly TimeSpan Quiet = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Soonest = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan SweepInterval = TimeSpan.FromSeconds(60);

    private readonly LogFiles _files;
    private readonly long _cap;
    private readonly int _maxFiles;
    private readonly TimeProvider _time;
    private readonly ILogger<LogCutter> _logger;
    private readonly LogReserve _reserve;
    private readonly Dictionary<string, Look> _looks = new(StringComparer.Ordinal);
    private readonly HashSet<string> _complained = new(StringComparer.Ordinal);
    private bool _asked;
    private bool _collapses;
    private DateTimeOffset _reserveDue;
    private DateTimeOffset _excessDue;

    public LogCutter(LogFiles files, NodeOptions options, TimeProvider time, ILogger<LogCutter> logger)
        : this(files, options, time, logger, new LogReserve(files.Folder, options.LogReserve, options.LogMaxTotal))
    {
    }

    internal LogCutter(LogFiles files, NodeOptions options, TimeProvider time, ILogger<LogCutter> logger, LogReserve reserve)
    {
        _files = files;
        _cap = options.LogMaxBytes;
        _maxFiles = options.LogMaxFiles;
        _time = time;
        _logger = logger;
        _reserve = reserve;
    }

    /// <summary>Told each round for some minutes after the log disk was short: containers whose shim met its end are to be looked for. Must not block.</summary>
    public Action? DiskWasShort { get; init; }

    internal LogMetrics Metrics { get; init; } = LogMetrics.Unheard;

    /// <summary>Ends only by cancellation. A file that cannot be handled is told once and does not stop the others.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        await Task.Yield(); // the first sweep must not hold up whoever starts the agent's parts
        var sweep = _time.GetUtcNow();
        try
        {
            while (true)
            {
                if (_time.GetUtcNow() >= sweep)
                {
                    Guard(_files.Folder, () => Sweep(cancellation));
                    sweep = _time.GetUtcNow() + SweepInterval;
                }
                LookAtAll(cancellation);
                Guard(_files.Folder, () => KeepReserve(cancellation));
                if (_files.WasDiskShort && DiskWasShort is { } look) Guard(_files.Folder, look);
                await Task.Delay(UntilNextLook(sweep), _time, cancellation);
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // a cut that was begun is finished by the next agent
        }
    }

    /// <summary>One round over every folder: ends interrupted cuts, removes what is too old, finds files to look at.</summary>
    internal void Sweep(CancellationToken cancellation)
    {
        if (!_asked) AskFileSystem();
        Held? held = null;
        foreach (var directory in _files.ContainerFolders())
        {
            cancellation.ThrowIfCancellationRequested();
            Guard(directory, () =>
            {
                if (RemoveIfLongGone(directory)) return;
                RemoveOrphans(directory);
                var incarnations = LogFiles.IncarnationsIn(directory);
                if (incarnations.Count > KeptIncarnations) held ??= _files.Holders.Look() ?? new Held([], []);
                foreach (var old in incarnations.SkipLast(KeptIncarnations))
                    if (!IsHeld(held!, directory, old)) LogFiles.Delete(directory, old);
                Watch(directory, incarnations);
            });
        }
    }

    /// <summary>Looks at the files that are due, and at the ones made since.</summary>
    internal void LookAtAll(CancellationToken cancellation)
    {
        foreach (var paths in _files.TakeCreated())
        {
            foreach (var log in new[] { paths.Out, paths.Err }) _looks.TryAdd(log, new Look(0, _time.GetUtcNow(), _time.GetUtcNow()));
        }
        foreach (var (log, look) in _looks.ToList())
        {
            cancellation.ThrowIfCancellationRequested();
            if (_time.GetUtcNow() >= look.Due) Guard(log, () => LookAt(log, look, cancellation));
        }
    }

    private void AskFileSystem()
    {
        Directory.CreateDirectory(_files.Folder);
        _collapses = LogReserve.CanCollapse(_files.Folder);
        if (!_collapses) NoCollapse(_files.Folder);
        _asked = true;
    }

    private void LookAt(string log, Look last, CancellationToken cancellation)
    {
        var now = _time.GetUtcNow();
        _looks[log] = last with { Due = now + Quiet }; // also if the cut fails
        if (Libc.Status(log) is not { } status)
        {
            _looks.Remove(log);
            return;
        }
        var size = status.Size;
        if (size > _cap)
        {
            var cut = Cut(log, size, cancellation);
            Metrics.Cut(cut);
            CutOff(cut, log);
            _looks[log] = new Look(Libc.Status(log)?.Size ?? 0, _time.GetUtcNow(), _time.GetUtcNow() + Soonest);
            return;
        }
        var seconds = (now - last.At).TotalSeconds;
        var rate = seconds > 0 ? (size - last.Size) / seconds : 0;
        var wait = rate > 0 ? TimeSpan.FromSeconds(Math.Min(Quiet.TotalSeconds, (_cap - size) / rate / 2)) : Quiet;
        _looks[log] = new Look(size, now, now + (wait < Soonest ? Soonest : wait));
    }

    /// <summary>Cuts of one look are as many as pieces may stay: what a fast writer adds meanwhile must not keep other logs waiting.</summary>
    private long Cut(string log, long size, CancellationToken cancellation)
    {
        var cut = new LogCut(log, _maxFiles - 1);
        if (!_collapses || _maxFiles == 1) return cut.Run(_collapses, _cap, _cap / 2, cancellation);
        var off = 0L;
        // More than all files may hold: its front is cut off uncopied, the pieces before it with it.
        if (size > _cap * _maxFiles) off += cut.Run(true, 0, _cap * (_maxFiles - 1), cancellation);
        for (var cuts = 1; cuts < _maxFiles && Libc.Status(log)?.Size > _cap; cuts++) off += cut.Run(true, _cap, 0, cancellation);
        return off;
    }

    internal void KeepReserve(CancellationToken cancellation)
    {
        var now = _time.GetUtcNow();
        if (now < _reserveDue) return;
        var isShort = _reserve.IsShort();
        if (isShort) _files.SawLowDisk();
        var excess = 0L;
        if (now >= _excessDue)
        {
            _excessDue = now + Quiet; // it looks at every file of the node
            excess = _reserve.Excess(_files);
        }
        if (!isShort && excess <= 0) return;
        _reserveDue = now + Quiet;
        foreach (var (log, size) in LogReserve.Victims(_files))
        {
            cancellation.ThrowIfCancellationRequested();
            if (excess <= 0 && !_reserve.IsShort()) return;
            Guard(log, () =>
            {
                LogReserve.Free(log, _collapses, cancellation);
                var freed = size - (Libc.Status(log)?.Size ?? 0);
                excess -= freed;
                Metrics.Freed(Math.Max(0, freed)); // it may have grown meanwhile
                if (isShort) FreedSpace(freed, log);
                else KeptLimit(freed, log);
            });
        }
        _reserveDue = _time.GetUtcNow() + SweepInterval; // nothing left to give up: others fill this disk
    }

    private void Watch(string directory, List<long> incarnations)
    {
        for (var i = 0; i < incarnations.Count; i++)
        {
            var paths = LogFiles.In(directory, incarnations[i]);
            foreach (var log in new[] { paths.Out, paths.Err })
            {
                if (File.Exists(log)) new LogCut(log).Finish();
                // An older incarnation writes no more, or its last lines: once a minute is enough.
                if (i == incarnations.Count - 1) _looks.TryAdd(log, new Look(0, _time.GetUtcNow(), _time.GetUtcNow()));
                else if (Libc.Status(log) is { } status && status.Size > _cap) _looks.TryAdd(log, new Look(status.Size, _time.GetUtcNow(), _time.GetUtcNow()));
                else _looks.Remove(log);
            }
        }
    }

    private bool RemoveIfLongGone(string directory)
    {
        if (LogFiles.RemovedSince(directory) is not { } since || _time.GetUtcNow() - since < KeptAfterRemoval) return false;
        Directory.Delete(directory, recursive: true);
        for (var parent = Path.GetDirectoryName(directory)!; parent != _files.Folder; parent = Path.GetDirectoryName(parent)!)
        {
            if (Directory.EnumerateFileSystemEntries(parent).Any()) break;
            Directory.Delete(parent);
        }
        RemovedLogs(directory);
        return true;
    }

    private static void RemoveOrphans(string directory)
    {
        foreach (var file in Directory.GetFiles(directory))
            if (LogPaths.LogOf(file) is { } log && !File.Exists(log)) File.Delete(file);
    }

    private static bool IsHeld(Held held, string directory, long incarnation)
    {
        var paths = LogFiles.In(directory, incarnation);
        return held.Holds(paths.Out) || held.Holds(paths.Err);
    }

    private TimeSpan UntilNextLook(DateTimeOffset sweep)
    {
        var now = _time.GetUtcNow();
        var next = now + Quiet;
        if (sweep < next) next = sweep;
        foreach (var look in _looks.Values)
            if (look.Due < next) next = look.Due;
        return next - now < Soonest ? Soonest : next - now;
    }

    private void Guard(string path, Action work)
    {
        try
        {
            work();
            _complained.Remove(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (_complained.Add(path)) CannotHandle(path, e.Message);
        }
    }

    [LoggerMessage(EventId = 600, Level = LogLevel.Information, Message = "{Folder}: the file system cannot cut a file at its front; logs are copied and emptied, which can lose lines written at that moment")]
    private partial void NoCollapse(string folder);

    [LoggerMessage(EventId = 601, Level = LogLevel.Debug, Message = "cut {Bytes} bytes off {Log}")]
    private partial void CutOff(long bytes, string log);

    [LoggerMessage(EventId = 602, Level = LogLevel.Warning, Message = "the log disk is short of space: gave up {Bytes} bytes of {Log}")]
    private partial void FreedSpace(long bytes, string log);

    [LoggerMessage(EventId = 605, Level = LogLevel.Information, Message = "the logs exceed --log-max-total: gave up {Bytes} bytes of {Log}")]
    private partial void KeptLimit(long bytes, string log);

    [LoggerMessage(EventId = 603, Level = LogLevel.Information, Message = "removed the logs of a removed container: {Folder}")]
    private partial void RemovedLogs(string folder);

    [LoggerMessage(EventId = 604, Level = LogLevel.Warning, Message = "cannot bound the log {Path}: {Error}")]
    private partial void CannotHandle(string path, string error);

    private readonly record struct Look(long Size, DateTimeOffset At, DateTimeOffset Due);
}
