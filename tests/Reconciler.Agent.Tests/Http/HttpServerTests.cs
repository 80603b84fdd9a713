using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Time.Testing;
using Reconciler.Agent.Hosting;
using Reconciler.Agent.Http;
using Reconciler.Agent.Tests.Commands;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.Http;

public sealed class HttpServerTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(200, "GET /text HTTP/1.1\r\nHost: 127.0.0.1:9\r\n\r\n")]
    [InlineData(200, "GET /text HTTP/1.1\r\nHost: LOCALHOST\r\n\r\n")]
    [InlineData(200, "GET /text HTTP/1.1\r\nhost: [::1]:9\r\n\r\n")]
    [InlineData(200, "GET /text HTTP/1.0\r\nHost: 10.0.0.1\r\n\r\n")]
    [InlineData(200, "GET /text?a=b HTTP/1.1\r\nHost: localhost\r\nX-A: 1\r\nX-A: 2\r\n\r\n")]
    [InlineData(200, "GET /text HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\n\r\n")]
    [InlineData(200, "GET /text HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n\r\n")]
    [InlineData(403, "GET /text HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n\r\n")]
    [InlineData(421, "GET /text HTTP/1.1\r\nHost: evil.example\r\n\r\n")]
    [InlineData(421, "GET /text HTTP/1.1\r\nHost: evil.example:9808\r\n\r\n")]
    [InlineData(421, "GET /text HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n")]
    [InlineData(421, "GET /text HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n\r\n")]
    [InlineData(421, "GET /text HTTP/1.1\r\nHost: [::1\r\n\r\n")]
    [InlineData(421, "GET /text HTTP/1.1\r\nHost:\r\n\r\n")]
    [InlineData(421, "GET /text HTTP/1.0\r\n\r\n")]
    [InlineData(404, "GET /other HTTP/1.1\r\nHost: localhost\r\n\r\n")]
    [InlineData(404, "GET /text/ HTTP/1.1\r\nHost: localhost\r\n\r\n")]
    [InlineData(404, "GET /%74ext HTTP/1.1\r\nHost: localhost\r\n\r\n")]
    [InlineData(404, "GET /../text HTTP/1.1\r\nHost: localhost\r\n\r\n")]
    [InlineData(405, "POST /text HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc")]
    [InlineData(405, "get /text HTTP/1.1\r\nHost: localhost\r\n\r\n")]
    [InlineData(405, "OPTIONS /text HTTP/1.1\r\nHost: localhost\r\n\r\n")]
    [InlineData(400, "GET /text HTTP/1.1\r\n\r\n")]
    [InlineData(400, "GET /text HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")]
    [InlineData(400, "GET http://localhost/text HTTP/1.1\r\nHost: localhost\r\n\r\n")]
    [InlineData(400, "GET  /text HTTP/1.1\r\nHost: localhost\r\n\r\n")]
    [InlineData(400, "GET /text HTTP/2.0\r\nHost: localhost\r\n\r\n")]
    [InlineData(400, "GET /text\r\n\r\n")]
    [InlineData(400, "GET /text HTTP/1.1\r\nHost : localhost\r\n\r\n")]
    [InlineData(400, "GET /text HTTP/1.1\r\nHost: localhost\r\nnonsense\r\n\r\n")]
    [InlineData(400, "GET /text HTTP/1.1\r\nHost: localhost\n X: y\r\n\r\n")]
    [InlineData(400, "\u0016\u0003\u0001\u0000\r\n\r\n")]
    [InlineData(500, "GET /bug HTTP/1.1\r\nHost: localhost\r\n\r\n")]
    public async Task Every_request_is_answered_with_its_status(int status, string request)
    {
        await using var server = new Served();

        var answer = await server.AskAsync(request);

        Assert.StartsWith($"HTTP/1.1 {status} ", answer, StringComparison.Ordinal);
        Assert.DoesNotContain("the details", answer, StringComparison.Ordinal); // of the handler's exception
    }

    [Fact]
    public async Task The_answer_has_length_type_and_what_keeps_a_browser_from_guessing()
    {
        await using var server = new Served();

        var answer = await server.AskAsync("GET /text HTTP/1.1\r\nHost: localhost\r\n\r\n");
        var head = await server.AskAsync("HEAD /text HTTP/1.1\r\nHost: localhost\r\n\r\n");

        Assert.Equal("grün\n", answer.Split("\r\n\r\n")[1]);
        Assert.EndsWith("\r\n\r\n", head, StringComparison.Ordinal);
        Assert.Equal(answer.Split("\r\n\r\n")[0], head[..^4]);
        Assert.All(
            ["Content-Length: 6", "Content-Type: text/plain; charset=utf-8", "Connection: close", "Cache-Control: no-store", "X-Content-Type-Options: nosniff",
                "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'", "Date: Fri, 02 Jan 2026 03:04:05 GMT"],
            line => Assert.Contains($"\r\n{line}\r\n", answer, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_name_is_answered_where_others_may_reach_it()
    {
        await using var server = new Served("0.0.0.0:0");

        Assert.StartsWith("HTTP/1.1 200 ", await server.AskAsync("GET /text HTTP/1.1\r\nHost: node-1.example\r\n\r\n"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("[::1]:0")]
    [InlineData(":0")]
    public async Task IPv6_is_served_too(string address)
    {
        await using var server = new Served(address);

        Assert.StartsWith("HTTP/1.1 200 ", await server.AskAsync("GET /text HTTP/1.1\r\nHost: localhost\r\n\r\n", IPAddress.IPv6Loopback), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_head_that_is_too_long_is_refused()
    {
        await using var server = new Served();

        var answer = await server.AskAsync($"GET /text HTTP/1.1\r\nHost: localhost\r\nX: {new string('a', 3 * HttpServer.MaxHeadBytes)}\r\n\r\n");

        Assert.StartsWith("HTTP/1.1 431 ", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_request_that_does_not_come_is_given_up()
    {
        await using var server = new Served();
        using var client = await server.ConnectAsync();
        await client.SendAsync("GET /text"u8.ToArray(), Cancellation);

        var answer = Served.ReadAsync(client);
        await server.PassTimeUntilAsync(() => answer.IsCompleted);

        Assert.StartsWith("HTTP/1.1 408 ", await answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_reader_that_takes_nothing_is_cut_off_and_the_others_are_served()
    {
        await using var server = new Served();
        using var client = await server.ConnectAsync();
        await client.SendAsync("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n"u8.ToArray(), Cancellation);

        await Eventually.UntilAsync(() => server.Streams == 1, "the stream begins");
        Assert.StartsWith("HTTP/1.1 200 ", await server.AskAsync("GET /text HTTP/1.1\r\nHost: localhost\r\n\r\n"), StringComparison.Ordinal);
        await server.PassTimeUntilAsync(() => server.Streams == 0);
    }

    [Fact]
    public async Task A_stream_ends_when_its_reader_goes()
    {
        await using var server = new Served();
        var client = await server.ConnectAsync();
        await client.SendAsync("GET /silence HTTP/1.1\r\nHost: localhost\r\n\r\n"u8.ToArray(), Cancellation);
        await Eventually.UntilAsync(() => server.Streams == 1, "the stream begins");

        client.Dispose();

        await Eventually.UntilAsync(() => server.Streams == 0, "the stream has ended");
    }

    [Fact]
    public async Task Told_to_stop_it_ends_at_once_whoever_is_served()
    {
        var server = new Served();
        using var idle = await server.ConnectAsync();
        using var client = await server.ConnectAsync();
        await client.SendAsync("GET /silence HTTP/1.1\r\nHost: localhost\r\n\r\n"u8.ToArray(), Cancellation);
        await Eventually.UntilAsync(() => server.Streams == 1, "the stream begins");

        await server.DisposeAsync(); // virtual time stands still: no deadline does it

        Assert.Equal(0, server.Streams);
    }

    [Fact]
    public async Task Beyond_its_number_of_connections_it_refuses_and_serves_again_when_they_go()
    {
        await using var server = new Served();
        var clients = new List<Socket>();
        for (var i = 0; i < HttpServer.MaxConnections; i++) clients.Add(await server.ConnectAsync());

        using (var refused = await server.ConnectAsync()) Assert.StartsWith("HTTP/1.1 503 ", await Served.ReadAsync(refused), StringComparison.Ordinal);

        foreach (var client in clients) client.Dispose();
        await Eventually.UntilAsync(async () =>
        {
            try
            {
                return (await server.AskAsync("GET /text HTTP/1.1\r\nHost: localhost\r\n\r\n")).StartsWith("HTTP/1.1 200 ", StringComparison.Ordinal);
            }
            catch (SocketException)
            {
                return false; // refused once more
            }
        }, "it serves again");
    }

    [Fact]
    public async Task A_given_address_that_is_taken_is_an_error_with_flag_and_remedy()
    {
        await using var first = new Served();

        var error = Assert.Throws<SettingException>(() => new Served(first.EndPoint.ToString()));

        Assert.Equal($"--metrics-address: cannot listen on {first.EndPoint}: another process has this port; give another address, e.g. --metrics-address 127.0.0.1:19808, or none", error.Message);
    }

    [Fact]
    public async Task A_default_address_that_is_taken_is_a_warning_and_served_once_it_is_free()
    {
        // An address of its own, so that nobody takes the port between the two.
        var first = new Served(string.Create(
            System.Globalization.CultureInfo.InvariantCulture, $"127.{Random.Shared.Next(1, 255)}.{Random.Shared.Next(1, 255)}.{Random.Shared.Next(2, 255)}:0"));
        var address = first.EndPoint.ToString();
        await first.AskAsync("GET /text HTTP/1.1\r\nHost: localhost\r\n\r\n"); // leaves a socket in TIME_WAIT
        await using var second = new Served(address, given: false);
        Assert.Contains($"WARN  --metrics-address: cannot listen on {address}: another process has this port", second.Log, StringComparison.Ordinal);

        await first.DisposeAsync();
        await second.PassTimeUntilAsync(() => second.Log.Contains("serving http://", StringComparison.Ordinal));

        Assert.StartsWith("HTTP/1.1 200 ", await second.AskAsync("GET /text HTTP/1.1\r\nHost: localhost\r\n\r\n"), StringComparison.Ordinal);
    }

    /// <summary>A server whose clock stands still unless a test moves it.</summary>
    private sealed class Served : IAsyncDisposable
    {
        private readonly CancellationTokenSource _stop = new();
        private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero));
        private readonly SharedText _log = new();
        private readonly StderrLog _provider;
        private readonly Microsoft.Extensions.Logging.LoggerFactory _loggers;
        private readonly HttpServer _server;
        private readonly Task _run;
        private int _streams;

        public Served(string address = "127.0.0.1:0", bool given = true)
        {
            _provider = new StderrLog(_log, _time, Microsoft.Extensions.Logging.LogLevel.Information, color: false);
            _loggers = new Microsoft.Extensions.Logging.LoggerFactory([_provider]);
            var routes = new Dictionary<string, HttpHandler>
            {
                ["/text"] = (_, _) => ValueTask.FromResult(HttpAnswer.Text(200, "grün")),
                ["/bug"] = (_, _) => throw new InvalidOperationException("the details"),
                ["/stream"] = (_, stop) => ValueTask.FromResult(HttpAnswer.Text(200, "") with { Stream = StreamAsync(new byte[1 << 20], stop) }),
                ["/silence"] = (_, stop) => ValueTask.FromResult(HttpAnswer.Text(200, "") with { Stream = StreamAsync(null, stop) }),
            };
            _server = HttpServer.Open(
                Settings.MetricsAddress, ListenAddress.Parse(address, given), routes, _time, new Microsoft.Extensions.Logging.Logger<HttpServer>(_loggers));
            _run = _server.RunAsync(_stop.Token);
        }

        public IPEndPoint EndPoint => _server.EndPoint!;

        public int Streams => Volatile.Read(ref _streams);

        public string Log => _log.ToString();

        public async Task<Socket> ConnectAsync(IPAddress? address = null)
        {
            var to = new IPEndPoint(address ?? (EndPoint.Address.Equals(IPAddress.Any) ? IPAddress.Loopback : EndPoint.Address), EndPoint.Port);
            var socket = new Socket(to.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(to, Cancellation);
            return socket;
        }

        public async Task<string> AskAsync(string request, IPAddress? address = null)
        {
            using var socket = await ConnectAsync(address);
            await socket.SendAsync(Encoding.Latin1.GetBytes(request), Cancellation);
            return await ReadAsync(socket);
        }

        /// <summary>To the end of the connection.</summary>
        public static async Task<string> ReadAsync(Socket socket)
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
            limit.CancelAfter(Eventually.DefaultLimit);
            var (buffer, all) = (new byte[4096], new MemoryStream());
            while (await socket.ReceiveAsync(buffer, limit.Token) is > 0 and var got) all.Write(buffer, 0, got);
            return Encoding.UTF8.GetString(all.ToArray());
        }

        public Task PassTimeUntilAsync(Func<bool> condition) => Eventually.UntilAsync(() =>
        {
            if (condition()) return true;
            _time.Advance(TimeSpan.FromSeconds(1));
            return false;
        }, "what the deadline ends");

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await _run.WaitAsync(Eventually.DefaultLimit).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            Assert.True(_run.IsCanceled, "it did not end by itself");
            _server.Dispose();
            _loggers.Dispose();
            _provider.Dispose();
            _stop.Dispose();
        }

        private async IAsyncEnumerable<ReadOnlyMemory<byte>> StreamAsync(byte[]? piece, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken stop)
        {
            Interlocked.Increment(ref _streams);
            try
            {
                while (true)
                {
                    if (piece is null) await Task.Delay(Timeout.InfiniteTimeSpan, stop);
                    yield return piece;
                }
            }
            finally
            {
                Interlocked.Decrement(ref _streams);
            }
        }
    }
}
