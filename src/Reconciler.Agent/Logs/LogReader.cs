namespace Reconciler.Agent.Logs;

/// <summary>What <c>logs</c> was asked for.</summary>
public sealed record LogRequest
{
    public required string Namespace { get; init; }

    public required string Workload { get; init; }

    /// <summary>Null = the workload's only container.</summary>
    public string? Container { get; init; }

    /// <summary>Go on with what is written, over cuts and restarts, until cancelled or until the logs are removed.</summary>
    public bool Follow { get; init; }

    /// <summary>The incarnation before the newest.</summary>
    public bool Previous { get; init; }

    /// <summary>Only the last lines of each stream, 0 or more; null = all.</summary>
    public int? Tail { get; init; }
}

/// <summary>There is no such log; the message says what there is.</summary>
public sealed class LogNotFoundException(string message) : Exception(message);

/// <summary>Reads the log files of a container; works while agent and containerd are down.</summary>
/// <param name="files">Where they are.</param>
/// <param name="time">For the looks of following.</param>
/// <param name="notice">Gets a sentence when bytes were cut off before they could be read.</param>
public sealed class LogReader(LogFiles files, TimeProvider time, Action<string>? notice = null)
{
    /// <summary>The old incarnation's shim may still write out what its process left when the next one begins.</summary>
    private static readonly TimeSpan Overlap = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Writes standard output, then standard error, as raw bytes; there are no arrival times to merge them by. With follow, both as they grow, line by
    /// line. Returns at the end, and when cancelled while following.
    /// </summary>
    /// <exception cref="LogNotFoundException">No such workload, container or incarnation.</exception>
    public async Task ReadAsync(LogRequest request, Stream output, CancellationToken cancellation)
    {
        var container = request.Container ?? OnlyContainer(request);
        var incarnation = Choose(request, container);
        try
        {
            using var stretch = Open(request, container, incarnation, request.Tail);
            if (request.Follow && !request.Previous) await FollowAsync(request with { Container = container }, stretch, output, cancellation);
            else await stretch.CopyWholeAsync(output, cancellation);
            await output.FlushAsync(cancellation);
            Tell(stretch);
        }
        catch (OperationCanceledException) when (request.Follow && cancellation.IsCancellationRequested)
        {
            // Ctrl-C is how following ends
        }
    }

    private async Task FollowAsync(LogRequest request, Stretch first, Stream output, CancellationToken cancellation)
    {
        var current = first;
        var old = new List<(Stretch Stretch, DateTimeOffset Until)>();
        using var changes = new LogChanges(Path.GetDirectoryName(files.PathsOf(request.Namespace, request.Workload, request.Container!, 0).Out)!, time);
        try
        {
            while (true)
            {
                var any = await CopyAllAsync(old, current, output, cancellation);
                if (Next(request, current) is { } next)
                {
                    await current.CopyAsync(output, cancellation);
                    old.Add((current, time.GetUtcNow() + Overlap));
                    current = Open(request, request.Container!, next, null);
                    continue;
                }
                if (any) continue;
                await current.FlushAsync(output, cancellation);
                await output.FlushAsync(cancellation);
                if (!current.Exists && files.Incarnations(request.Namespace, request.Workload, request.Container!).Count == 0) return;
                await changes.NextAsync(cancellation);
            }
        }
        finally
        {
            foreach (var (stretch, _) in old) stretch.Dispose();
            if (current != first) current.Dispose();
        }
    }

    private async Task<bool> CopyAllAsync(List<(Stretch Stretch, DateTimeOffset Until)> old, Stretch current, Stream output, CancellationToken cancellation)
    {
        var any = false;
        foreach (var entry in old.ToList())
        {
            if (await entry.Stretch.CopyAsync(output, cancellation))
            {
                any = true;
                continue;
            }
            await entry.Stretch.FlushAsync(output, cancellation);
            if (time.GetUtcNow() < entry.Until) continue;
            Tell(entry.Stretch);
            entry.Stretch.Dispose();
            old.Remove(entry);
        }
        return await current.CopyAsync(output, cancellation) || any;
    }

    /// <summary>The incarnation to go on with: the one after the current, or the newest of another life; null = stay.</summary>
    private long? Next(LogRequest request, Stretch current)
    {
        var all = files.Incarnations(request.Namespace, request.Workload, request.Container!);
        foreach (var incarnation in all)
            if (incarnation > current.Incarnation) return incarnation;
        return all.Count > 0 && !current.Exists ? all[^1] : null;
    }

    private Stretch Open(LogRequest request, string container, long incarnation, int? tail)
    {
        var paths = files.PathsOf(request.Namespace, request.Workload, container, incarnation);
        return new Stretch(incarnation, LogTail.Open(paths.Out, tail), LogTail.Open(paths.Err, tail));
    }

    private string OnlyContainer(LogRequest request)
    {
        var containers = files.Containers(request.Namespace, request.Workload);
        return containers.Count switch
        {
            1 => containers[0],
            0 => throw new LogNotFoundException($"no logs of workload {request.Namespace}/{request.Workload} under {files.Folder}"),
            _ => throw new LogNotFoundException(
                $"workload {request.Namespace}/{request.Workload} has several containers, name one: {string.Join(", ", containers.Select(c => $"{request.Workload}/{c}"))}"),
        };
    }

    private long Choose(LogRequest request, string container)
    {
        var all = files.Incarnations(request.Namespace, request.Workload, container);
        var name = $"{request.Namespace}/{request.Workload}/{container}";
        if (all.Count == 0) throw new LogNotFoundException($"no logs of container {name} under {files.Folder}");
        if (!request.Previous) return all[^1];
        return all.Count > 1 ? all[^2] : throw new LogNotFoundException($"no previous logs of container {name}: it was not restarted, or they are gone");
    }

    private void Tell(Stretch stretch)
    {
        if (stretch.Lost > 0) notice?.Invoke($"{stretch.Lost} bytes were cut off before they could be read");
    }

    /// <summary>Both streams of one incarnation.</summary>
    private sealed class Stretch(long incarnation, LogTail? output, LogTail? error) : IDisposable
    {
        private readonly LogTail[] _tails = [.. new[] { output, error }.OfType<LogTail>()];

        public long Incarnation => incarnation;

        public bool Exists => _tails.Any(tail => tail.IsCurrent);

        public long Lost => _tails.Sum(tail => tail.Lost);

        public async Task<bool> CopyAsync(Stream target, CancellationToken cancellation)
        {
            var any = false;
            foreach (var tail in _tails) any |= await tail.CopyAsync(target, cancellation);
            return any;
        }

        /// <summary>One stream after the other, unfinished lines in their place.</summary>
        public async Task CopyWholeAsync(Stream target, CancellationToken cancellation)
        {
            foreach (var tail in _tails)
            {
                await tail.CopyAsync(target, cancellation);
                await tail.FlushAsync(target, cancellation);
            }
        }

        public async Task FlushAsync(Stream target, CancellationToken cancellation)
        {
            foreach (var tail in _tails) await tail.FlushAsync(target, cancellation);
        }

        public void Dispose()
        {
            foreach (var tail in _tails) tail.Dispose();
        }
    }
}
