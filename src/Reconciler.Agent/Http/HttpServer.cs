using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Reconciler.Agent.Hosting;

namespace Reconciler.Agent.Http;

/// <summary>
/// Serves GET and HEAD of a table of paths, one request per connection. Every step has a deadline and every size a limit, so that no reader,
/// however slow or many, takes anything from the rest of the process.
/// </summary>
internal sealed partial class HttpServer : IDisposable
{
    public const int MaxConnections = 64;

    /// <summary>Of request line and headers together.</summary>
    public const int MaxHeadBytes = 8 << 10;

    /// <summary>For the head of a request, and for each piece of an answer to be taken.</summary>
    public static readonly TimeSpan StepLimit = TimeSpan.FromSeconds(10);

    /// <summary>Until a default address that was taken is tried again.</summary>
    public static readonly TimeSpan RetryPeriod = TimeSpan.FromSeconds(30);

    private const int Backlog = 32;

    private readonly Setting _setting;
    private readonly ListenAddress? _address;
    private readonly IReadOnlyDictionary<string, HttpHandler> _routes;
    private readonly TimeProvider _time;
    private readonly ILogger<HttpServer> _logger;
    private Socket? _socket;
    private int _connections;

    private HttpServer(Setting setting, ListenAddress? address, IReadOnlyDictionary<string, HttpHandler> routes, TimeProvider time, ILogger<HttpServer> logger) =>
        (_setting, _address, _routes, _time, _logger) = (setting, address, routes, time, logger);

    /// <summary>Where it listens now; null = nowhere.</summary>
    public IPEndPoint? EndPoint => _socket?.LocalEndPoint as IPEndPoint;

    /// <summary>Listens from now on; who is served waits for <see cref="RunAsync"/>. A default address that is taken is a warning, and tried again later.</summary>
    /// <param name="setting">Where <paramref name="address"/> comes from, for messages.</param>
    /// <param name="address">Null = nowhere.</param>
    /// <param name="routes">By path. Read with each request.</param>
    /// <exception cref="SettingException">A given address cannot be listened on.</exception>
    public static HttpServer Open(
        Setting setting, ListenAddress? address, IReadOnlyDictionary<string, HttpHandler> routes, TimeProvider time, ILogger<HttpServer> logger)
    {
        var server = new HttpServer(setting, address, routes, time, logger);
        if (address is null || server.TryListen(out var why)) return server;
        if (address.Given) throw new SettingException(why);
        server.LogTaken(why);
        return server;
    }

    /// <summary>Serves until it is told to stop, and cuts off who is still served then.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        if (_address is null) await Task.Delay(Timeout.InfiniteTimeSpan, _time, stop);
        while (_socket is null)
        {
            await Task.Delay(RetryPeriod, _time, stop);
            TryListen(out _);
        }
        var serving = new HashSet<Task>();
        try
        {
            while (true)
            {
                var socket = await AcceptAsync(_socket, stop);
                serving.RemoveWhere(task => task.IsCompleted);
                if (_connections < MaxConnections) serving.Add(ServeAsync(socket, stop));
                else Refuse(socket);
            }
        }
        finally
        {
            await Task.WhenAll(serving).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    public void Dispose() => _socket?.Dispose();

    private bool TryListen(out string why)
    {
        var (at, socket) = (_address!.EndPoint, new Socket(_address.EndPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp));
        try
        {
            if (at.Address.Equals(IPAddress.IPv6Any)) socket.DualMode = true;
            socket.Bind(at);
            socket.Listen(Backlog);
            _socket = socket;
            why = "";
            LogListening(_setting.Flag, $"http://{EndPoint}", string.Join(' ', _routes.Keys));
            return true;
        }
        catch (SocketException e)
        {
            socket.Dispose();
            var reason = e.SocketErrorCode == SocketError.AddressAlreadyInUse ? "another process has this port" : e.Message;
            why = $"{_setting.Flag}: cannot listen on {_address}: {reason}; give another address, e.g. {_setting.Flag} 127.0.0.1:19808, or none";
            return false;
        }
    }

    private async Task<Socket> AcceptAsync(Socket listener, CancellationToken stop)
    {
        while (true)
        {
            try
            {
                return await listener.AcceptAsync(stop);
            }
            catch (SocketException e)
            {
                LogNotAccepted(e.Message); // out of file descriptors, or it was gone already
                await Task.Delay(TimeSpan.FromSeconds(1), _time, stop);
            }
        }
    }

    private void Refuse(Socket socket)
    {
        using (socket)
        {
            try
            {
                socket.Blocking = false;
                var answer = HttpAnswer.Text(503, "too many connections");
                socket.Send([.. answer.Head(_time.GetUtcNow()), .. answer.Body.Span]);
            }
            catch (SocketException)
            {
                // It is gone, or takes nothing.
            }
        }
    }

    private async Task ServeAsync(Socket socket, CancellationToken stop)
    {
        Interlocked.Increment(ref _connections);
        try
        {
            using var connection = new HttpConnection(socket, _time, stop);
            await connection.ServeAsync(AnswerAsync);
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // Its reader is gone or too slow, or we stop.
        }
        catch (Exception e)
        {
            LogBug(e);
        }
        finally
        {
            Interlocked.Decrement(ref _connections);
        }
    }

    private async ValueTask<HttpAnswer> AnswerAsync(HttpRequest request, CancellationToken stop)
    {
        if (_address!.IsLoopback && !request.IsForAddress) return HttpAnswer.Text(421, "only IP addresses and localhost are answered here");
        if (request.IsForeign) return HttpAnswer.Text(403, "nothing here is for the pages of another site");
        if (!_routes.TryGetValue(request.Path, out var handler)) return HttpAnswer.Text(404, $"there is only: {string.Join(' ', _routes.Keys)}");
        if (request.Method is not ("GET" or "HEAD")) return HttpAnswer.Text(405, "this is read only: GET or HEAD") with { Extra = ("Allow", "GET, HEAD") };
        try
        {
            return await handler(request, stop);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            LogBug(e);
            return HttpAnswer.Text(500, "an error of the program; its log has it");
        }
    }

    [LoggerMessage(1301, LogLevel.Information, "{Flag}: serving {Address} with {Paths}")]
    private partial void LogListening(string flag, string address, string paths);

    [LoggerMessage(1302, LogLevel.Warning, "{Why}; going on without, and trying again")]
    private partial void LogTaken(string why);

    [LoggerMessage(1303, LogLevel.Warning, "a connection could not be accepted: {Error}")]
    private partial void LogNotAccepted(string error);

    [LoggerMessage(1304, LogLevel.Error, "an answer could not be made")]
    private partial void LogBug(Exception error);
}
