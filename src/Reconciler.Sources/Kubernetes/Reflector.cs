using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Microsoft.Extensions.Logging;

namespace Reconciler.Sources.Kubernetes;

/// <summary>
/// Keeps a copy of one list of objects: a complete list, then a watch from its version; after every break the watch goes on from the last
/// version, and a version the server no longer has brings a new list, which finds what was deleted meanwhile.
/// </summary>
/// <param name="client">The server.</param>
/// <param name="path">Of the list, below the server's URL, as <c>apis/GROUP/VERSION/PLURAL</c>.</param>
/// <param name="selector">A query part as <c>fieldSelector=...</c>, escaped; empty = all.</param>
/// <param name="time">Clock of all waits.</param>
/// <param name="jitter">Next random number of [0, 1).</param>
/// <param name="logger">Gets each break and its end.</param>
public sealed partial class Reflector(ClusterClient client, string path, string selector, TimeProvider time, Func<double> jitter, ILogger logger)
{
    private const int PageSize = 500;
    private const int PagesAtMost = 10_000;

    /// <summary>As client-go has them.</summary>
    private static readonly TimeSpan FirstWait = TimeSpan.FromMilliseconds(800);
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Healthy = TimeSpan.FromMinutes(2);

    /// <summary>A server that could not stream the initial list is not asked to for this long.</summary>
    private static readonly TimeSpan WatchListPause = TimeSpan.FromMinutes(10);

    /// <summary>What a server may take beyond the timeout it was given.</summary>
    private static readonly TimeSpan Margin = TimeSpan.FromSeconds(30);

    private ClusterState _state = ClusterState.Nothing;
    private DateTimeOffset _noWatchListBefore = DateTimeOffset.MinValue;
    private long _lastHeard = time.GetTimestamp();

    /// <summary>Since the last byte of any answer: a gauge for metrics.</summary>
    public TimeSpan Silence => time.GetElapsedTime(Volatile.Read(ref _lastHeard));

    /// <summary>A new value whenever anything changed; without an end.</summary>
    public async IAsyncEnumerable<ClusterState> FollowAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        Heard();
        var relist = true;
        var wait = FirstWait;
        while (true)
        {
            var began = time.GetTimestamp();
            var changes = relist ? StartAsync(cancellation) : WatchAsync(cancellation);
            ClusterException? failure = null;
            await using (var each = changes.GetAsyncEnumerator(cancellation))
            {
                while (true)
                {
                    try
                    {
                        if (!await each.MoveNextAsync()) break;
                    }
                    catch (ClusterException e)
                    {
                        failure = e;
                        break;
                    }
                    relist = false;
                    if (_state is { IsListed: true, Doubt.Length: > 0 }) LogBack(path);
                    if (each.Current == _state) continue;
                    _state = each.Current;
                    yield return _state;
                }
            }
            if (time.GetElapsedTime(began) >= Healthy) wait = FirstWait;
            if (failure is null && time.GetElapsedTime(began) >= TimeSpan.FromSeconds(1)) continue; // the server ends each watch in time
            if (failure is { IsGone: true })
            {
                LogExpired(path, failure.Message);
                relist = true;
            }
            else if (failure is not null)
            {
                LogBroken(path, failure.Message);
                if (_state.Doubt != failure.Message)
                {
                    _state = _state with { Doubt = failure.Message };
                    yield return _state;
                }
            }
            var pause = wait * (0.5 + jitter() / 2);
            if (failure?.RetryAfter is { } told && told > pause) pause = told;
            await Task.Delay(pause, time, cancellation);
            wait = wait * 2 < LongestWait ? wait * 2 : LongestWait;
        }
    }

    private async IAsyncEnumerable<ClusterState> StartAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        if (time.GetUtcNow() >= _noWatchListBefore)
        {
            var streamed = StreamAsync(cancellation).GetAsyncEnumerator(cancellation);
            await using (streamed)
            {
                var any = false;
                while (true)
                {
                    try
                    {
                        if (!await streamed.MoveNextAsync()) break;
                    }
                    catch (ClusterException e) when (!any && e.Status is not (0 or 401 or 403 or 404 or 429))
                    {
                        LogNoWatchList(path, e.Message);
                        _noWatchListBefore = time.GetUtcNow() + WatchListPause;
                        break;
                    }
                    any = true;
                    yield return streamed.Current;
                }
                if (any) yield break;
            }
        }
        yield return await ListAsync(cancellation);
    }

    /// <summary>WatchList (KEP-3157): the initial objects as events, their end marked by a bookmark, and then the watch itself.</summary>
    private async IAsyncEnumerable<ClusterState> StreamAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        var initial = ImmutableDictionary.CreateBuilder<ObjectName, ClusterObject>();
        ClusterState? state = null;
        var timeout = WatchTimeout();
        var query = $"watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds={timeout}";
        await using var watch = await client.WatchAsync(Query(query), TimeSpan.FromSeconds(timeout) + Margin, cancellation);
        while (await watch.NextAsync(cancellation) is { } happened)
        {
            Heard();
            if (state is not null) state = Next(state, happened);
            else if (happened.EndsInitial) state = new ClusterState(initial.ToImmutable(), happened.Object.ResourceVersion, "");
            else if (happened.Type == WatchEventType.Deleted) initial.Remove(happened.Object.Name);
            else if (happened.Type != WatchEventType.Bookmark) initial[happened.Object.Name] = happened.Object;
            if (state is not null) yield return state;
        }
        if (state is null) throw new ClusterException(500, "", "the server ended the initial list without marking its end");
    }

    private async Task<ClusterState> ListAsync(CancellationToken cancellation)
    {
        var objects = ImmutableDictionary.CreateBuilder<ObjectName, ClusterObject>();
        var token = "";
        for (var page = 0; page < PagesAtMost; page++)
        {
            var query = $"limit={PageSize}{(token.Length > 0 ? "&continue=" + Uri.EscapeDataString(token) : "")}";
            using var answer = await client.GetAsync(Query(query), cancellation);
            Heard();
            var (version, next) = ReadPage(answer.RootElement, objects);
            if (next.Length == 0) return new ClusterState(objects.ToImmutable(), version, "");
            token = next;
        }
        throw new ClusterException(0, "", $"{path}: the list has no end");
    }

    /// <summary>An answer that is not wholly a list must never pass for an empty one.</summary>
    private (string Version, string Continue) ReadPage(JsonElement list, ImmutableDictionary<ObjectName, ClusterObject>.Builder objects)
    {
        try
        {
            var metadata = list.GetProperty("metadata");
            var version = metadata.GetProperty("resourceVersion").GetString();
            if (string.IsNullOrEmpty(version)) throw new JsonException("a list without resourceVersion");
            foreach (var item in list.GetProperty("items").EnumerateArray())
            {
                var read = ClusterObject.From(item);
                objects[read.Name] = read;
            }
            return (version, metadata.TryGetProperty("continue", out var next) ? next.GetString() ?? "" : "");
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new ClusterException(0, "", $"{path}: the answer is no list: {e.Message}", e);
        }
    }

    private async IAsyncEnumerable<ClusterState> WatchAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        var state = _state with { Doubt = "" };
        var timeout = WatchTimeout();
        var query = $"watch=1&allowWatchBookmarks=true&resourceVersion={Uri.EscapeDataString(state.ResourceVersion)}&timeoutSeconds={timeout}";
        if (_state.Doubt.Length > 0) await CheckVersionAsync(cancellation);
        await using var watch = await client.WatchAsync(Query(query), TimeSpan.FromSeconds(timeout) + Margin, cancellation);
        yield return state;
        while (await watch.NextAsync(cancellation) is { } happened)
        {
            Heard();
            state = Next(state, happened);
            yield return state;
        }
    }

    /// <summary>A watch from a version that a restored server has yet to reach would just stay silent.</summary>
    private async Task CheckVersionAsync(CancellationToken cancellation)
    {
        using var answer = await client.GetAsync(Query("limit=1"), cancellation);
        Heard();
        var (version, _) = ReadPage(answer.RootElement, ImmutableDictionary.CreateBuilder<ObjectName, ClusterObject>());
        if (ResourceVersion.Compare(version, _state.ResourceVersion) < 0)
            throw new ClusterException(410, "Expired", $"the server is at version {version}, behind {_state.ResourceVersion}");
    }

    private static ClusterState Next(ClusterState state, WatchEvent happened) => happened.Type switch
    {
        WatchEventType.Bookmark => state with { ResourceVersion = happened.Object.ResourceVersion },
        WatchEventType.Deleted => state with { Objects = state.Objects.Remove(happened.Object.Name), ResourceVersion = happened.Object.ResourceVersion },
        _ => state with { Objects = state.Objects.SetItem(happened.Object.Name, happened.Object), ResourceVersion = happened.Object.ResourceVersion },
    };

    private int WatchTimeout() => 300 + (int)(jitter() * 300);

    private string Query(string query) => selector.Length == 0 ? $"{path}?{query}" : $"{path}?{selector}&{query}";

    private void Heard() => Volatile.Write(ref _lastHeard, time.GetTimestamp());

    [LoggerMessage(2101, LogLevel.Information, "{Path}: the API server answers again")]
    private partial void LogBack(string path);

    [LoggerMessage(2102, LogLevel.Information, "{Path}: the version is no longer served, listing anew: {Message}")]
    private partial void LogExpired(string path, string message);

    [LoggerMessage(2103, LogLevel.Warning, "{Path}: {Message}")]
    private partial void LogBroken(string path, string message);

    [LoggerMessage(2104, LogLevel.Debug, "{Path}: the server does not stream the initial list, it is asked for pages: {Message}")]
    private partial void LogNoWatchList(string path, string message);
}
