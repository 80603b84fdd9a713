using System.Buffers;
using Reconciler.Containerd.Registries;

namespace Reconciler.Containerd.Images;

/// <summary>Moves one blob from the registry into its ingest, gathered into messages of 1 MiB: small ones cost the daemon CPU.</summary>
/// <param name="hosts">Where it is asked for.</param>
/// <param name="sources">Gets the hosts that gave a part.</param>
/// <param name="blob">What is moved.</param>
/// <param name="ingest">Where it goes.</param>
/// <param name="time">The clock.</param>
internal sealed class BlobTransfer(RepositoryHosts hosts, HashSet<RegistryRepository> sources, Descriptor blob, ContentIngest ingest, TimeProvider time) : IDisposable
{
    private const int MessageBytes = 1024 * 1024;

    private readonly byte[] _buffer = ArrayPool<byte>.Shared.Rent((int)Math.Min(MessageBytes, Math.Max(blob.Size, 1)));
    private int _filled;

    /// <summary>Bytes of the blob that are here, or in the store.</summary>
    public long Received => ingest.Offset + _filled;

    public bool IsComplete => Received >= blob.Size;

    private int Capacity => Math.Min(_buffer.Length, MessageBytes);

    /// <summary>One request, from where the last one broke off.</summary>
    /// <exception cref="IOException">The body broke off.</exception>
    public async Task RunAsync(Action<long> advanced, CancellationToken cancellation)
    {
        var (host, answer, from) = await hosts.OpenBlobAsync(blob.Digest, Received, cancellation);
        using var _ = answer;
        sources.Add(host);
        var what = $"blob {host.Endpoint} {blob.Digest}";
        if (answer.Content.Headers.ContentLength is { } length && from + length != blob.Size)
            throw new PullException(PullErrorKind.DigestMismatch, $"{what}: the registry's copy has {from + length} bytes, the manifest says {blob.Size}");
        await using var body = await answer.Content.ReadAsStreamAsync(cancellation);
        using var stall = new StallLimit(time, cancellation);
        var skip = Received - from;
        while (!IsComplete)
        {
            if (_filled == Capacity) await FlushAsync();
            var room = _buffer.AsMemory(_filled, (int)Math.Min(Capacity - _filled, skip > 0 ? skip : blob.Size - Received));
            var count = await stall.ReadAsync(body, room, what);
            if (count == 0) throw new HttpIOException(HttpRequestError.ResponseEnded, $"the answer ended at byte {Received - skip} of {blob.Size}");
            if (skip > 0)
            {
                skip -= count;
                continue;
            }
            _filled += count;
            advanced(Received);
        }
    }

    /// <summary>Hands over what is here.</summary>
    public async Task FlushAsync()
    {
        if (_filled == 0) return;
        await ingest.AppendAsync(_buffer.AsMemory(0, _filled));
        _filled = 0;
    }

    /// <summary>The last bytes ride on the commit, so a small blob is one message.</summary>
    public Task FinishAsync(IReadOnlyDictionary<string, string> labels) => ingest.FinishAsync(_buffer.AsMemory(0, _filled), labels);

    public void Dispose() => ArrayPool<byte>.Shared.Return(_buffer);
}
