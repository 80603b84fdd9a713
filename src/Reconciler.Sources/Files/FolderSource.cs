using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using Reconciler.Core.Ports;
using Reconciler.Sources.Manifests;

namespace Reconciler.Sources.Files;

/// <summary>
/// A folder of manifests, followed however it is written. inotify only hints; the root's identity and a full rescan are the truth.
/// </summary>
/// <param name="folder">As given on the command line; part of every source label.</param>
/// <param name="options">This node; the last good documents are kept under its state dir.</param>
/// <param name="time">Clock of the intervals.</param>
/// <param name="logger">Where trouble with the last good documents is told.</param>
public sealed partial class FolderSource(string folder, ManifestOptions options, TimeProvider time, ILogger<FolderSource> logger) : IDesiredSource
{
    private static readonly TimeSpan RootCheck = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan Quiet = TimeSpan.FromMilliseconds(300);
    private static readonly TimeSpan QuietAtMost = TimeSpan.FromMilliseconds(1500);
    private static readonly TimeSpan FullRescan = TimeSpan.FromSeconds(15);

    private readonly string _flag = Trim(folder);

    public string Name => "file:" + _flag;

    /// <summary>The state an agent would start with now; writes and remembers nothing.</summary>
    public SourceState Read()
    {
        var memory = LastGoodFile.For(options.StateDir, _flag).Load(out _);
        var listing = new FolderScanner(_flag, NewCache()).Scan();
        return NewMerge().Merge(listing, memory).State;
    }

    public async IAsyncEnumerable<SourceState> WatchAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        var lastGood = LastGoodFile.For(options.StateDir, _flag);
        var memory = lastGood.Load(out var error);
        if (error is not null) LogLastGoodLost(error);
        using var watch = new FolderWatch(time);
        if (!watch.Works) LogNoHints(_flag, FullRescan.TotalSeconds);
        var cache = NewCache();
        var scanner = new FolderScanner(_flag, cache) { BeforeRead = watch.Add };
        var merge = NewMerge();
        SourceState? last = null;
        var saved = memory;
        var noticed = time.GetUtcNow();
        while (true)
        {
            watch.Reset();
            var root = RootIdentity.Of(_flag);
            var scanned = time.GetTimestamp();
            var listing = scanner.Scan();
            watch.Prune();
            if (listing.Doubt.Length == 0) cache.Retain(listing.Files.Select(file => file.Path).ToHashSet(StringComparer.Ordinal));
            var (state, next) = merge.Merge(listing, memory);
            if (last is null || !SameState(last, state)) yield return state with { NoticedAt = noticed };
            last = state;
            memory = next;
            if (!memory.Equals(saved) && Save(lastGood, memory)) saved = memory;
            noticed = await ChangeAsync(watch, root, scanned, listing.Again, cancellation);
        }
    }

    /// <summary>Without trailing slashes: <c>dir</c> and <c>dir/</c> are the same source.</summary>
    internal static string Trim(string folder) => folder.TrimEnd('/') is { Length: > 0 } trimmed ? trimmed : "/";

    /// <summary>What precedes the relative path in a source label.</summary>
    internal static string PrefixOf(string flag) => $"file:{flag}/";

    /// <summary>Returns when the folder should be scanned again: a change that has become quiet, another root, or the time.</summary>
    /// <returns>When that was noticed.</returns>
    private async Task<DateTimeOffset> ChangeAsync(FolderWatch watch, RootIdentity? root, long scanned, bool again, CancellationToken cancellation)
    {
        while (true)
        {
            await Task.WhenAny(watch.Changed, Task.Delay(RootCheck, time, cancellation));
            cancellation.ThrowIfCancellationRequested();
            var noticed = time.GetUtcNow();
            if (watch.Changed.IsCompleted || RootIdentity.Of(_flag) != root)
            {
                await QuietAsync(watch, cancellation);
                return noticed;
            }
            if (again || time.GetElapsedTime(scanned) >= FullRescan) return noticed;
        }
    }

    private async Task QuietAsync(FolderWatch watch, CancellationToken cancellation)
    {
        var first = time.GetTimestamp();
        while (true)
        {
            var left = QuietAtMost - time.GetElapsedTime(first);
            var quiet = Quiet - time.GetElapsedTime(Math.Max(watch.LastHint, first));
            if (quiet < left) left = quiet;
            if (left <= TimeSpan.Zero) return;
            await Task.Delay(left, time, cancellation);
        }
    }

    private bool Save(LastGoodFile file, FolderMemory memory)
    {
        try
        {
            file.Save(memory);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            LogLastGoodNotSaved(_flag, e.Message);
            return false;
        }
    }

    private FileCache NewCache() => new(PrefixOf(_flag), options, time);

    private FolderMerge NewMerge() => new(_flag, PrefixOf(_flag), options);

    private static bool SameState(SourceState left, SourceState right) =>
        left.Synced == right.Synced && left.Doubt == right.Doubt && left.Held.SetEquals(right.Held) && left.Problems.AsSpan().SequenceEqual(right.Problems.AsSpan())
        && left.Resources.Count == right.Resources.Count
        && left.Resources.All(pair => right.Resources.TryGetValue(pair.Key, out var other) && pair.Value.Equals(other));

    [LoggerMessage(1, LogLevel.Warning, "The last good manifests are lost: {Error}")]
    private partial void LogLastGoodLost(string error);

    [LoggerMessage(2, LogLevel.Warning, "The last good manifests of {Folder} cannot be saved: {Error}")]
    private partial void LogLastGoodNotSaved(string folder, string error);

    [LoggerMessage(3, LogLevel.Warning, "The kernel gives no change hints for {Folder}: it is read every {Seconds} s")]
    private partial void LogNoHints(string folder, double seconds);
}
