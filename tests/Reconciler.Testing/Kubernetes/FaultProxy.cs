using System.Collections.Concurrent;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Reconciler.Testing.Kubernetes;

/// <summary>What becomes of requests on their way to an API server. Each but the slow one begins with a reset of all watches, so that it meets their successors.</summary>
public enum LinkFault
{
    None,

    /// <summary>Answers break off in mid-line with a reset.</summary>
    Reset,

    /// <summary>Nothing comes back; connections stay open until the fault is over and are reset then.</summary>
    BlackHole,

    /// <summary>What is asked is done, and the answer is a reset.</summary>
    AnswerLost,

    /// <summary>429 with Retry-After.</summary>
    TooMany,

    ServerError,
    Forbidden,
    NotFound,

    /// <summary>200 and an empty object.</summary>
    Empty,

    /// <summary>Answers arrive a few bytes at a time.</summary>
    Slow,

    /// <summary>Watches end with 410, as an event where they run already.</summary>
    Expired,
}

/// <summary>Stands before an API server as a server of its own, over HTTP/1.1 with a connection per request.</summary>
public sealed class FaultProxy : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CertificateAuthority _authority = new("fault proxy");
    private readonly X509Certificate2 _certificate;
    private readonly TempFolder _folder = new();
    private readonly HttpClient _server;
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentDictionary<Task, bool> _links = [];
    private readonly Task _accepting;
    private Phase _phase = new(LinkFault.None);

    /// <param name="server">Where requests go.</param>
    /// <param name="token">With which they go, whatever the client sends.</param>
    public FaultProxy(ApiServer server, string token)
    {
        _server = server.CreateHttp(token);
        var (certificate, key) = _authority.Issue("CN=proxy", "127.0.0.1");
        using (var pem = X509Certificate2.CreateFromPem(certificate, key)) _certificate = X509CertificateLoader.LoadPkcs12(pem.Export(X509ContentType.Pkcs12), null);
        _listener.Start();
        File.WriteAllText(_folder["ca.crt"], _authority.Pem);
        File.WriteAllText(Kubeconfig, $$$"""
            apiVersion: v1
            kind: Config
            clusters: [{name: test, cluster: {server: "https://127.0.0.1:{{{((IPEndPoint)_listener.LocalEndpoint).Port}}}", certificate-authority: "{{{_folder["ca.crt"]}}}"} }]
            users: [{name: test, user: {token: none} }]
            contexts: [{name: test, context: {cluster: test, user: test} }]
            current-context: test
            """);
        _accepting = AcceptAsync();
    }

    public string Kubeconfig => _folder["kubeconfig"];

    /// <summary>How often a list or watch has met the present fault.</summary>
    public int Met => Volatile.Read(ref _phase).Met;

    /// <summary>Replaces the fault.</summary>
    public void Set(LinkFault fault) => Interlocked.Exchange(ref _phase, new Phase(fault)).Over.TrySetResult();

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Dispose();
        await _accepting.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await Task.WhenAll(_links.Keys);
        _server.Dispose();
        _certificate.Dispose();
        _authority.Dispose();
        _folder.Dispose();
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (true)
        {
            var client = await _listener.AcceptTcpClientAsync(_stop.Token);
            var link = ServeAsync(client);
            _links[link] = true;
            _ = link.ContinueWith(ended => _links.TryRemove(ended, out _), TaskScheduler.Default);
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using var connection = client;
        try
        {
            await using var tls = new SslStream(client.GetStream());
            await tls.AuthenticateAsServerAsync(new SslServerAuthenticationOptions { ServerCertificate = _certificate }, _stop.Token);
            if (!await TryAnswerAsync(tls)) Reset(client);
        }
        catch (Exception e) when (IsBroken(e))
        {
            // The client went.
        }
    }

    /// <summary>False = the connection is to be reset.</summary>
    private async Task<bool> TryAnswerAsync(SslStream client)
    {
        try
        {
            return await ProxiedRequest.ReadAsync(client, _stop.Token) is not { } request || await AnswerAsync(request, client);
        }
        catch (Exception e) when (IsBroken(e))
        {
            return false; // the server went, or the client did
        }
    }

    private static bool IsBroken(Exception e) => e is IOException or HttpRequestException or SocketException or OperationCanceledException
        or ObjectDisposedException or InvalidOperationException or System.Security.Authentication.AuthenticationException;

    /// <summary>False = the connection is to be reset.</summary>
    private async Task<bool> AnswerAsync(ProxiedRequest request, SslStream client)
    {
        var phase = Volatile.Read(ref _phase);
        if (phase.Fault is not (LinkFault.Reset or LinkFault.Slow or LinkFault.Expired)) phase.Meet(request);
        switch (phase.Fault)
        {
            case LinkFault.BlackHole:
                await phase.Over.Task.WaitAsync(_stop.Token);
                return false;
            case LinkFault.TooMany:
                return await RefuseAsync(client, 429, "TooManyRequests", "Retry-After: 1\r\n");
            case LinkFault.ServerError:
                return await RefuseAsync(client, 500, "InternalError");
            case LinkFault.Forbidden:
                return await RefuseAsync(client, 403, "Forbidden");
            case LinkFault.NotFound:
                return await RefuseAsync(client, 404, "NotFound");
            case LinkFault.Empty when request.Method == "GET":
                return await WholeAsync(client, 200, "{}");
            case LinkFault.Expired when request.IsWatch && request.HasVersion:
                phase.Meet(request);
                return await RefuseAsync(client, 410, "Expired");
        }
        using var message = request.ToMessage();
        using var answer = await _server.SendAsync(message, HttpCompletionOption.ResponseHeadersRead, _stop.Token);
        if (phase.Fault == LinkFault.AnswerLost) return false;
        var retry = answer.Headers.RetryAfter?.Delta is { } delay ? $"Retry-After: {(int)delay.TotalSeconds}\r\n" : "";
        await SendAsync(client, $"HTTP/1.1 {(int)answer.StatusCode} Status\r\nContent-Type: application/json\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n{retry}\r\n");
        return await CopyAsync(request, await answer.Content.ReadAsStreamAsync(_stop.Token), client, phase);
    }

    /// <param name="request">What is answered.</param>
    /// <param name="answer">The server's body.</param>
    /// <param name="client">Where it goes.</param>
    /// <param name="began">The phase in which the request came.</param>
    private async Task<bool> CopyAsync(ProxiedRequest request, Stream answer, SslStream client, Phase began)
    {
        var buffer = new byte[16 * 1024];
        var (reading, any, atLine) = ((Task<int>?)null, false, true);
        while (true)
        {
            var phase = Volatile.Read(ref _phase);
            var isNew = phase != began || (phase.Fault == LinkFault.Expired && any && atLine); // one that began with a list meets it after that
            if (isNew && request.IsWatch && phase.Fault is not (LinkFault.None or LinkFault.Slow))
                return await InterruptAsync(request, client, phase, atLine);
            reading ??= answer.ReadAsync(buffer, _stop.Token).AsTask();
            if (request.IsWatch && await Task.WhenAny(reading, phase.Over.Task) != reading) continue;
            var count = await reading;
            reading = null;
            if (count == 0)
            {
                await SendAsync(client, "0\r\n\r\n");
                return true;
            }
            var step = phase.Fault == LinkFault.Slow ? 1 + count / 200 : phase.Fault == LinkFault.Reset ? Math.Max(1, count / 2) : count;
            if (step < count) phase.Meet(request);
            for (var at = 0; at < count; at += step)
            {
                await ChunkAsync(client, buffer.AsMemory(at, Math.Min(step, count - at)));
                if (phase.Fault == LinkFault.Reset) return false;
                if (step < count) await Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System, _stop.Token);
            }
            (any, atLine) = (true, buffer[count - 1] == (byte)'\n');
        }
    }

    /// <summary>What a new fault does to a watch that runs.</summary>
    private async Task<bool> InterruptAsync(ProxiedRequest request, SslStream client, Phase phase, bool atLine)
    {
        switch (phase.Fault)
        {
            case LinkFault.Reset:
                phase.Meet(request);
                await ChunkAsync(client, "{\"type\":\"MODI"u8.ToArray());
                return false;
            case LinkFault.BlackHole:
                phase.Meet(request);
                await phase.Over.Task.WaitAsync(_stop.Token);
                return false;
            case LinkFault.Expired when atLine:
                phase.Meet(request);
                await ChunkAsync(client, Encoding.ASCII.GetBytes($$"""{"type":"ERROR","object":{{Status(410, "Expired")}}}""" + "\n"));
                await SendAsync(client, "0\r\n\r\n");
                return true;
            default:
                return false;
        }
    }

    private Task<bool> RefuseAsync(SslStream client, int code, string reason, string headers = "") => WholeAsync(client, code, Status(code, reason), headers);

    private async Task<bool> WholeAsync(SslStream client, int code, string body, string headers = "")
    {
        await SendAsync(client, $"HTTP/1.1 {code} Status\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {body.Length}\r\n{headers}\r\n{body}");
        return true;
    }

    private async Task ChunkAsync(SslStream client, ReadOnlyMemory<byte> bytes)
    {
        var head = Encoding.ASCII.GetBytes($"{bytes.Length:x}\r\n");
        await client.WriteAsync((byte[])[.. head, .. bytes.Span, .. "\r\n"u8], _stop.Token);
    }

    private Task SendAsync(SslStream client, string text) => client.WriteAsync(Encoding.ASCII.GetBytes(text), _stop.Token).AsTask();

    private static string Status(int code, string reason) => $$"""{"kind":"Status","apiVersion":"v1","code":{{code}},"reason":"{{reason}}","message":"the proxy says {{reason}}"}""";

    private static void Reset(TcpClient client)
    {
        client.LingerState = new LingerOption(true, 0);
        client.Client.Close(); // disposing the stream first would say goodbye
    }

    /// <summary>The time of one fault.</summary>
    private sealed class Phase(LinkFault fault)
    {
        private int _met;

        public LinkFault Fault => fault;

        public TaskCompletionSource Over { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public int Met => Volatile.Read(ref _met);

        public void Meet(ProxiedRequest request)
        {
            if (request.Method == "GET") Interlocked.Increment(ref _met);
        }
    }
}
