using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Threading.Channels;
using Reconciler.Sources.Kubernetes;
using Reconciler.Testing;

namespace Reconciler.Sources.Tests.Kubernetes;

/// <summary>An HTTP server on loopback that answers what the test says, for what a real API server cannot be made to do.</summary>
internal sealed class ScriptedServer : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly TempFolder _folder = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly Channel<Request> _requests = Channel.CreateUnbounded<Request>();
    private readonly Task _accepting;

    public ScriptedServer()
    {
        _listener.Start();
        _accepting = AcceptAsync();
        File.WriteAllText(_folder["kubeconfig"], $$"""
            apiVersion: v1
            kind: Config
            clusters: [{name: test, cluster: {server: "http://127.0.0.1:{{((IPEndPoint)_listener.LocalEndpoint).Port}}" } }]
            users: [{name: test, user: {token: t} }]
            contexts: [{name: test, context: {cluster: test, user: test} }]
            current-context: test
            """);
    }

    public ClusterClient Connect(TimeProvider? time = null) =>
        ClusterClient.Open(new ClusterOptions { Kubeconfig = _folder["kubeconfig"], Program = "test" }, time ?? TimeProvider.System);

    /// <summary>The next request; the test answers it.</summary>
    public async Task<Request> NextAsync()
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(Eventually.DefaultLimit);
        return await _requests.Reader.ReadAsync(limit.Token);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Dispose();
        await _accepting.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        while (_requests.Reader.TryRead(out var request)) request.Break();
        _folder.Dispose();
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (true)
        {
            var client = await _listener.AcceptTcpClientAsync(_stop.Token);
            _ = ReadAsync(client);
        }
    }

    private async Task ReadAsync(TcpClient client)
    {
        var reader = new StreamReader(client.GetStream(), Encoding.ASCII);
        var line = await reader.ReadLineAsync(_stop.Token);
        while (await reader.ReadLineAsync(_stop.Token) is { Length: > 0 })
        {
        }
        if (line is null) client.Dispose();
        else await _requests.Writer.WriteAsync(new Request(client, line.Split(' ')[0], Uri.UnescapeDataString(line.Split(' ')[1])), _stop.Token);
    }

    /// <summary>One request; each gets a connection of its own.</summary>
    internal sealed class Request(TcpClient client, string method, string target)
    {
        public string Method => method;

        /// <summary>Path and query, unescaped.</summary>
        public string Target => target;

        public bool IsWatch => target.Contains("watch=1", StringComparison.Ordinal);

        public bool AsksForInitial => target.Contains("sendInitialEvents", StringComparison.Ordinal);

        /// <summary>A whole answer.</summary>
        public async Task AnswerAsync(int status, string body, string headers = "")
        {
            var bytes = Encoding.UTF8.GetBytes(body);
            await SendAsync($"HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nContent-Length: {bytes.Length}\r\nConnection: close\r\n{headers}\r\n{body}");
            client.Dispose();
        }

        /// <summary>The head of an answer whose body has no end yet.</summary>
        public Task BeginAsync() => SendAsync("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n");

        /// <summary>A chunk of the body.</summary>
        public Task WriteAsync(string text) => SendAsync($"{Encoding.UTF8.GetByteCount(text):x}\r\n{text}\r\n");

        /// <summary>An orderly end of the body.</summary>
        public async Task EndAsync()
        {
            await SendAsync("0\r\n\r\n");
            client.Dispose();
        }

        /// <summary>A reset.</summary>
        public void Break()
        {
            client.LingerState = new LingerOption(true, 0);
            client.Client.Close(); // disposing the stream first would say goodbye
            client.Dispose();
        }

        private Task SendAsync(string text) => client.GetStream().WriteAsync(Encoding.UTF8.GetBytes(text)).AsTask();
    }
}
