using System.Buffers;
using Microsoft.Extensions.Logging;
using Reconciler.Containerd.Api.Content;
using Reconciler.Containerd.Registries;

namespace Reconciler.Containerd.Images;

/// <summary>Brings blobs from a repository into the content store, under one lease.</summary>
internal sealed partial class BlobFetcher(PullShared shared, RepositoryHosts hosts, PullLease lease, PullProgress progress)
{
    private const int MaxFailures = 5; // in a row, each with next to nothing
    private static readonly TimeSpan LockedLimit = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan LongestLockedDelay = TimeSpan.FromSeconds(2);

    public RegistryEndpoint Origin => hosts.Origin;

    private ContainerdClient Client => shared.Client;

    private TimeProvider Time => shared.Client.Options.TimeProvider;

    /// <summary>Writes a small blob that is in memory already, unless it is there.</summary>
    /// <returns>True = it was there.</returns>
    public async Task<bool> PutAsync(string kind, Descriptor blob, byte[] bytes, IReadOnlyDictionary<string, string> labels, CancellationToken cancellation)
    {
        using var gate = await shared.Blobs.EnterAsync(blob.Digest, cancellation);
        var state = await UnlockedAsync(
            blob.Ref(kind), async () => (await ContentIngest.PutAsync(Client, blob.Ref(kind), blob, bytes, labels, lease.Id, cancellation), (ContentIngest?)null), cancellation);
        if (state.State != IngestState.Exists) return false;
        await ContentLabels.MergeAsync(Client, blob.Digest, labels, cancellation);
        return true;
    }

    /// <summary>Fetches a blob of any size, from where an earlier attempt stopped, unless it is there.</summary>
    public async Task FetchAsync(string kind, Descriptor blob, IReadOnlyDictionary<string, string> labels, CancellationToken cancellation)
    {
        var key = blob.Ref(kind);
        using var gate = await shared.Blobs.EnterAsync(blob.Digest, cancellation);
        for (var fresh = false; ; fresh = true)
        {
            var (state, ingest) = await UnlockedAsync(key, () => ContentIngest.OpenAsync(Client, key, blob, lease.Id, cancellation), cancellation);
            if (state == IngestState.Exists)
            {
                progress.Set(key, "exists");
                var size = await ContentLabels.MergeAsync(Client, blob.Digest, labels, cancellation);
                if (size != blob.Size) throw new PullException(PullErrorKind.DigestMismatch, $"{blob.Digest} has {size} bytes, and {blob.Size} were announced");
                return;
            }
            var resumed = ingest!.Offset;
            var sources = new HashSet<RegistryRepository>();
            if (resumed > 0) LogResume(shared.Logger, blob.Digest, resumed, blob.Size);
            try
            {
                await TransferAsync(key, blob, ingest, sources, labels, cancellation);
                progress.Set(key, "done");
                return;
            }
            catch (PullException e) when (e.Kind == PullErrorKind.DigestMismatch)
            {
                ingest.Dispose();
                // Later it would hit whoever writes the blob then.
                await Client.TidyAsync(options => Client.Services.Content.AbortAsync(new AbortRequest { Ref = key }, options).ResponseAsync, $"abort {key}", again: false);
                // What was there from an earlier attempt, or from a mirror, may be the wrong part.
                var another = hosts.Demote(sources);
                if ((fresh || resumed == 0) && !another) throw;
            }
            catch
            {
                ingest.Dispose();
                if (ingest.Offset > 0) await KeepAsync(key, blob);
                throw;
            }
            finally
            {
                ingest.Dispose();
            }
        }
    }

    private async Task TransferAsync(
        string key, Descriptor blob, ContentIngest ingest, HashSet<RegistryRepository> sources, IReadOnlyDictionary<string, string> labels, CancellationToken cancellation)
    {
        progress.Advance(key, ingest.Offset);
        using var transfer = new BlobTransfer(hosts, sources, blob, ingest, Time);
        for (var failures = 0; !transfer.IsComplete;)
        {
            var before = transfer.Received;
            try
            {
                await transfer.RunAsync(received => progress.Advance(key, received), cancellation);
            }
            catch (Exception e) when (IsBroken(e))
            {
                hosts.Demote(sources);
                failures = transfer.Received - before >= StallLimit.LeastBytes ? 1 : failures + 1;
                LogBroken(shared.Logger, blob.Digest, transfer.Received, blob.Size, e.Message);
                if (failures == MaxFailures)
                {
                    await transfer.FlushAsync();
                    throw e as PullException ?? new PullException(PullErrorKind.Unreachable, $"blob {hosts.Origin} {blob.Digest}: {e.Message}", e);
                }
                await Task.Delay(RegistryTransport.Delay(failures, null), Time, cancellation);
            }
        }
        await transfer.FinishAsync(labels);
    }

    /// <summary>Waits while another client writes the same blob.</summary>
    private async Task<(IngestState State, ContentIngest? Ingest)> UnlockedAsync(
        string key, Func<Task<(IngestState State, ContentIngest? Ingest)>> open, CancellationToken cancellation)
    {
        var delay = TimeSpan.FromMilliseconds(8);
        var (offset, since) = (-1L, Time.GetTimestamp());
        while (true)
        {
            var result = await open();
            if (result.State != IngestState.Locked) return result;
            var now = await OffsetAsync(key, cancellation);
            if (now != offset) (offset, since) = (now, Time.GetTimestamp());
            else if (Time.GetElapsedTime(since) > LockedLimit)
                throw new ContainerdException($"{key} is locked by another writer that has made no progress for {LockedLimit.TotalMinutes} minutes") { RpcStatus = "Locked" };
            await Task.Delay(delay, Time, cancellation);
            delay = delay * 2 < LongestLockedDelay ? delay * 2 : LongestLockedDelay;
        }
    }

    private async Task<long> OffsetAsync(string key, CancellationToken cancellation)
    {
        try
        {
            return (await Client.CallAsync(options => Client.Services.Content.StatusAsync(new StatusRequest { Ref = key }, options), $"find {key}", cancellation)).Status.Offset;
        }
        catch (ContainerdException e) when (e.RpcStatus == nameof(Grpc.Core.StatusCode.NotFound))
        {
            return -1;
        }
    }

    /// <summary>An ingest that only a lease holds goes with it; opened once without one, it stays for a day, and the next pull goes on from there.</summary>
    private async Task KeepAsync(string key, Descriptor blob)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10), Time);
        try
        {
            var (_, ingest) = await UnlockedAsync(key, () => ContentIngest.OpenAsync(Client, key, blob, null, limit.Token), limit.Token);
            ingest?.Dispose();
        }
        catch (Exception e) when (e is ContainerdException or OperationCanceledException or ObjectDisposedException)
        {
            LogNotKept(shared.Logger, e, key);
        }
    }

    private static bool IsBroken(Exception error) =>
        error is IOException or HttpRequestException or PullException { Kind: PullErrorKind.Unreachable };

    [LoggerMessage(Level = LogLevel.Debug, Message = "Blob {Digest}: going on at byte {Offset} of {Size}")]
    private static partial void LogResume(ILogger logger, string digest, long offset, long size);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Blob {Digest}: broken off at byte {Offset} of {Size}: {Why}")]
    private static partial void LogBroken(ILogger logger, string digest, long offset, long size, string why);

    [LoggerMessage(Level = LogLevel.Debug, Message = "What there is of {Key} is not kept for the next pull")]
    private static partial void LogNotKept(ILogger logger, Exception error, string key);
}
