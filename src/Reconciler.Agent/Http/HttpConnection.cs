using System.Net.Sockets;

namespace Reconciler.Agent.Http;

/// <summary>One connection: one request, one answer, the end.</summary>
internal sealed class HttpConnection : IDisposable
{
    private static readonly TimeSpan DrainLimit = TimeSpan.FromSeconds(1);

    private readonly Socket _socket;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _ended;

    public HttpConnection(Socket socket, TimeProvider time, CancellationToken stop)
    {
        (_socket, _time) = (socket, time);
        _ended = CancellationTokenSource.CreateLinkedTokenSource(stop);
    }

    /// <exception cref="SocketException">The other side is gone.</exception>
    /// <exception cref="OperationCanceledException">It is too slow, or we stop.</exception>
    public async Task ServeAsync(HttpHandler answer)
    {
        _socket.NoDelay = true;
        var (request, refusal) = await ReadAsync();
        var sent = refusal ?? await answer(request!, _ended.Token);
        await SendAsync(sent.Head(_time.GetUtcNow()));
        if (request is not { IsHead: true })
        {
            if (sent.Stream is { } stream) await StreamAsync(stream);
            else await SendAsync(sent.Body);
        }
        await CloseAsync();
    }

    public void Dispose()
    {
        _socket.Dispose();
        _ended.Dispose();
    }

    private async Task<(HttpRequest? Request, HttpAnswer? Refusal)> ReadAsync()
    {
        using var limit = new CancellationTokenSource(HttpServer.StepLimit, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, _ended.Token);
        var (buffer, length) = (new byte[HttpServer.MaxHeadBytes], 0);
        try
        {
            while (length < buffer.Length)
            {
                var got = await _socket.ReceiveAsync(buffer.AsMemory(length), either.Token);
                if (got == 0) throw new SocketException((int)SocketError.ConnectionReset);
                length += got;
                if (buffer.AsSpan(0, length).IndexOf("\r\n\r\n"u8) is >= 0 and var end)
                {
                    return HttpRequest.Parse(buffer.AsSpan(0, end)) is { } request ? (request, null) : (null, HttpAnswer.Text(400, "this is not a request of HTTP/1.1"));
                }
            }
            return (null, HttpAnswer.Text(431, $"request line and headers may have {HttpServer.MaxHeadBytes} bytes"));
        }
        catch (OperationCanceledException) when (!_ended.IsCancellationRequested)
        {
            return (null, HttpAnswer.Text(408, "the request did not come in time"));
        }
    }

    private async Task StreamAsync(IAsyncEnumerable<ReadOnlyMemory<byte>> pieces)
    {
        var watch = WatchAsync();
        try
        {
            await foreach (var piece in pieces.WithCancellation(_ended.Token)) await SendAsync(piece);
        }
        finally
        {
            await _ended.CancelAsync();
            await watch;
        }
    }

    /// <summary>Notices that the reader went, while there is nothing to send.</summary>
    private async Task WatchAsync()
    {
        var ignored = new byte[256];
        try
        {
            while (await _socket.ReceiveAsync(ignored, _ended.Token) > 0)
            {
            }
            await _ended.CancelAsync();
        }
        catch (SocketException)
        {
            await _ended.CancelAsync();
        }
        catch (OperationCanceledException)
        {
            // The stream ended first.
        }
    }

    private async Task SendAsync(ReadOnlyMemory<byte> bytes)
    {
        using var limit = new CancellationTokenSource(HttpServer.StepLimit, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, _ended.Token);
        while (bytes.Length > 0) bytes = bytes[await _socket.SendAsync(bytes, either.Token)..];
    }

    /// <summary>Closing with bytes unread would be a reset, which takes the answer away from the reader.</summary>
    private async Task CloseAsync()
    {
        if (_ended.IsCancellationRequested) return;
        _socket.Shutdown(SocketShutdown.Send);
        using var limit = new CancellationTokenSource(DrainLimit, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, _ended.Token);
        var ignored = new byte[4096];
        for (var pieces = 0; pieces < 64 && await _socket.ReceiveAsync(ignored, either.Token) > 0; pieces++)
        {
        }
    }
}
