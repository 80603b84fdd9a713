using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Controller;

/// <summary>Where candidates meet, and how patient they are.</summary>
internal sealed record ElectionOptions
{
    public required string Namespace { get; init; }

    public string Name { get; init; } = "reconciler-controller";

    /// <summary>Unique among the candidates.</summary>
    public required string Identity { get; init; }

    /// <summary>How long others respect a holder that does not renew; whole seconds.</summary>
    public TimeSpan Duration { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>A holder that could not renew for this long stops acting; well below <see cref="Duration"/>.</summary>
    public TimeSpan RenewDeadline { get; init; } = TimeSpan.FromSeconds(10);

    public TimeSpan RetryPeriod { get; init; } = TimeSpan.FromSeconds(2);
}

/// <summary>
/// One of several candidates acts at a time, by a Lease. Other holders are judged by how long this candidate has seen no change, never by the
/// times in the record, which are of other clocks.
/// </summary>
internal sealed partial class LeaderElection(ClusterClient client, ElectionOptions options, TimeProvider time, ILogger<LeaderElection> logger)
{
    private static readonly TimeSpan RequestLimit = TimeSpan.FromSeconds(5);

    /// <summary>As the server has it. Not as a typed model: those of KubernetesClient bring every kind's reader into the binary.</summary>
    private JsonObject? _lease;
    private string _seen = "";
    private long _seenAt;
    private long _renewedAt;
    private long _triedAt = time.GetTimestamp();
    private long _answeredAt;

    /// <summary>Since it last stood for election or renewed; it does so every few seconds, whatever the server answers.</summary>
    public TimeSpan SilentFor => time.GetElapsedTime(Interlocked.Read(ref _triedAt));

    /// <summary>Since the server last answered; null = it never did.</summary>
    public TimeSpan? UnansweredFor => Interlocked.Read(ref _answeredAt) is > 0 and var at ? time.GetElapsedTime(at) : null;

    /// <summary>Acts as leader whenever it is one, until it is told to stop; then the Lease is given back.</summary>
    /// <param name="lead">Its token ends with the leadership at the latest; it is waited for before the Lease is contended for again.</param>
    /// <param name="stop">Ends it with an <see cref="OperationCanceledException"/>.</param>
    public async Task RunAsync(Func<CancellationToken, Task> lead, CancellationToken stop)
    {
        while (true)
        {
            while (!await TryAsync(stop)) await Task.Delay(options.RetryPeriod * (1 + 0.2 * Random.Shared.NextDouble()), time, stop);
            LogLeading(options.Identity);
            using var leading = new CancellationTokenSource(Left(), time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(leading.Token, stop);
            var work = lead(either.Token);
            var renew = RenewAsync(leading, either.Token);
            await Task.WhenAny(work, renew);
            await leading.CancelAsync();
            await renew.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await work.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (stop.IsCancellationRequested || work.IsFaulted) await ReleaseAsync();
            if (work.IsFaulted) await work;
            stop.ThrowIfCancellationRequested();
            LogLost(options.Identity);
        }
    }

    private async Task RenewAsync(CancellationTokenSource leading, CancellationToken stop)
    {
        while (true)
        {
            await Task.Delay(options.RetryPeriod, time, stop);
            if (await TryAsync(stop)) leading.CancelAfter(Left());
            else if (Holder is { Length: > 0 } holder && holder != options.Identity) return;
        }
    }

    /// <summary>Takes or renews the Lease. False = somebody has it, or the server does not answer.</summary>
    private async Task<bool> TryAsync(CancellationToken stop)
    {
        using var limit = new CancellationTokenSource(RequestLimit, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, stop);
        Interlocked.Exchange(ref _triedAt, time.GetTimestamp());
        try
        {
            if (Holder != options.Identity)
            {
                await ReadAsync(either.Token);
                Interlocked.Exchange(ref _answeredAt, time.GetTimestamp());
            }
            if (Holder is { Length: > 0 } holder && holder != options.Identity && !HasExpired()) return false;
            var began = time.GetTimestamp();
            await WriteAsync(options.Identity, options.Duration, either.Token);
            _renewedAt = began;
            Interlocked.Exchange(ref _answeredAt, began);
            return true;
        }
        catch (ClusterException e)
        {
            // Whatever was known of it may be out of date now.
            if (e.IsConflict || e.IsNotFound) _lease = null;
            LogNotAnswered(e.Message);
            return false;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException)
        {
            LogNotAnswered($"the Lease {options.Name} cannot be read: {e.Message}");
            return false;
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            LogNotAnswered("no answer in time");
            return false;
        }
    }

    private async Task ReadAsync(CancellationToken cancellation)
    {
        try
        {
            using var answer = await client.GetAsync($"{Path}/{options.Name}", cancellation);
            _lease = JsonNode.Parse(answer.RootElement.GetRawText())!.AsObject();
        }
        catch (ClusterException e) when (e.IsNotFound)
        {
            _lease = null;
        }
        if (Version is { } version && version != _seen) (_seen, _seenAt) = (version, time.GetTimestamp());
    }

    /// <summary>By the holder's own idea of its length.</summary>
    private bool HasExpired() => time.GetElapsedTime(_seenAt) >= TimeSpan.FromSeconds((int?)_lease?["spec"]?["leaseDurationSeconds"] ?? options.Duration.TotalSeconds);

    private string? Holder => (string?)_lease?["spec"]?["holderIdentity"];

    private string? Version => (string?)_lease?["metadata"]?["resourceVersion"];

    private async Task WriteAsync(string holder, TimeSpan duration, CancellationToken cancellation)
    {
        var lease = _lease ?? new JsonObject
        {
            ["apiVersion"] = "coordination.k8s.io/v1",
            ["kind"] = "Lease",
            ["metadata"] = new JsonObject { ["name"] = options.Name, ["namespace"] = options.Namespace },
        };
        var (isNew, now) = (Version is null, ClusterTime.Micro(time.GetUtcNow()));
        lease["metadata"]!.AsObject().Remove("managedFields");
        if (lease["spec"] is not JsonObject spec) lease["spec"] = spec = [];
        if (holder.Length > 0 && Holder != holder)
        {
            spec["acquireTime"] = now;
            spec["leaseTransitions"] = ((int?)spec["leaseTransitions"] ?? -1) + 1;
        }
        spec["holderIdentity"] = holder;
        spec["renewTime"] = now;
        spec["leaseDurationSeconds"] = (int)duration.TotalSeconds;
        _lease = null; // until the server says what it has
        var body = Encoding.UTF8.GetBytes(lease.ToJsonString());
        using var written = isNew ? await client.PostAsync(Path, body, cancellation) : await client.PutAsync($"{Path}/{options.Name}", body, cancellation);
        _lease = JsonNode.Parse(written.RootElement.GetRawText())!.AsObject();
    }

    /// <summary>The next candidate need not wait. Best effort: without it the Lease expires.</summary>
    private async Task ReleaseAsync()
    {
        using var limit = new CancellationTokenSource(RequestLimit, time);
        try
        {
            if (_lease is null) await ReadAsync(limit.Token);
            if (Holder == options.Identity) await WriteAsync("", TimeSpan.FromSeconds(1), limit.Token);
        }
        catch (Exception e) when (e is ClusterException or OperationCanceledException or JsonException or InvalidOperationException or FormatException)
        {
            LogNotAnswered(e.Message);
        }
    }

    private string Path => $"apis/coordination.k8s.io/v1/namespaces/{options.Namespace}/leases";

    /// <summary>Of the leadership, counted from when the last renewal was sent: others may have counted from then.</summary>
    private TimeSpan Left()
    {
        var left = options.RenewDeadline - time.GetElapsedTime(_renewedAt);
        return left > TimeSpan.Zero ? left : TimeSpan.Zero;
    }

    [LoggerMessage(3601, LogLevel.Information, "{Identity} leads")]
    private partial void LogLeading(string identity);

    [LoggerMessage(3602, LogLevel.Warning, "{Identity} leads no longer: its Lease could not be renewed")]
    private partial void LogLost(string identity);

    [LoggerMessage(3603, LogLevel.Warning, "Leader election: {Message}")]
    private partial void LogNotAnswered(string message);
}
