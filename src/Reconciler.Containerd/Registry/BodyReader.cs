namespace Reconciler.Containerd.Registries;

/// <summary>Reads response bodies that may be endless, or stop without an end.</summary>
internal static class BodyReader
{
    /// <summary>A document of some MiB that takes longer is not worth waiting for.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    /// <summary>The whole body.</summary>
    /// <exception cref="PullException">It is larger than <paramref name="limit"/>, stalls, or takes longer than 5 minutes.</exception>
    public static async Task<byte[]> ReadAllAsync(HttpContent content, int limit, string what, TimeProvider time, CancellationToken cancellation)
    {
        if (content.Headers.ContentLength > limit) throw TooLarge(what, limit);
        await using var stream = await content.ReadAsStreamAsync(cancellation);
        using var body = new MemoryStream();
        var buffer = new byte[16 * 1024];
        using var stall = new StallLimit(time, cancellation);
        var begun = time.GetTimestamp();
        while (true)
        {
            if (time.GetElapsedTime(begun) > Limit) throw new PullException(PullErrorKind.Unreachable, $"{what}: the answer takes longer than {Limit.TotalMinutes} minutes");
            var count = await stall.ReadAsync(stream, buffer, what);
            if (count == 0) break;
            if (body.Length + count > limit) throw TooLarge(what, limit);
            body.Write(buffer, 0, count);
        }
        if (content.Headers.ContentLength is { } expected && expected != body.Length) throw new HttpIOException(HttpRequestError.ResponseEnded, $"{what}: the answer ended early");
        return body.ToArray();
    }

    private static PullException TooLarge(string what, int limit) =>
        new(PullErrorKind.Invalid, $"{what}: the answer is larger than {limit / 1024 / 1024} MiB");
}

/// <summary>Ends reads that bring no byte for 60 s, or less than 64 KiB in 5 minutes.</summary>
internal sealed class StallLimit(TimeProvider time, CancellationToken cancellation) : IDisposable
{
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    public static readonly TimeSpan Window = TimeSpan.FromMinutes(5);

    /// <summary>What a connection that is worth keeping brings.</summary>
    public const int LeastBytes = 64 * 1024;

    private readonly CancellationTokenSource _limit = new(Timeout.InfiniteTimeSpan, time);
    private CancellationTokenSource? _either;
    private long _since = time.GetTimestamp();
    private long _bytes;

    /// <exception cref="PullException">Nothing came for 60 s, or too little for 5 minutes.</exception>
    public async ValueTask<int> ReadAsync(Stream stream, Memory<byte> buffer, string what)
    {
        _either ??= CancellationTokenSource.CreateLinkedTokenSource(_limit.Token, cancellation);
        _limit.CancelAfter(Limit);
        try
        {
            var count = await stream.ReadAsync(buffer, _either.Token);
            _limit.CancelAfter(Timeout.InfiniteTimeSpan);
            CheckSpeed(count, what);
            return count;
        }
        catch (OperationCanceledException e) when (!cancellation.IsCancellationRequested)
        {
            throw new PullException(PullErrorKind.Unreachable, $"{what}: the registry sent nothing for {Limit.TotalSeconds} s", e);
        }
    }

    private void CheckSpeed(int count, string what)
    {
        _bytes += count;
        if (count == 0 || time.GetElapsedTime(_since) < Window) return;
        if (_bytes < LeastBytes) throw new PullException(PullErrorKind.Unreachable, $"{what}: the registry sent {_bytes} bytes in {Window.TotalMinutes} minutes");
        (_since, _bytes) = (time.GetTimestamp(), 0);
    }

    public void Dispose()
    {
        _either?.Dispose();
        _limit.Dispose();
    }
}
