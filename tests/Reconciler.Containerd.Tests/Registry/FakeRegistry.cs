using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Text;
using Reconciler.Testing.Images;

namespace Reconciler.Containerd.Tests.Registries;

internal sealed record FakeRequest(string Method, string Target, IReadOnlyDictionary<string, string> Headers, string Body)
{
    public string? this[string header] => Headers.GetValueOrDefault(header);

    public string Path => Target.Split('?')[0];
}

internal sealed record FakeAnswer(int Status, byte[] Body)
{
    public FakeAnswer(int status, string body = "")
        : this(status, Encoding.UTF8.GetBytes(body))
    {
    }

    public List<(string Name, string Value)> Headers { get; init; } = [];

    /// <summary>The connection is closed after this many bytes of the body.</summary>
    public int? CutAfter { get; init; }

    /// <summary>Sent in place of status, headers and body.</summary>
    public byte[]? Raw { get; init; }

    /// <summary>The body is sent again and again, without a length, until the client goes away.</summary>
    public bool Endless { get; init; }

    /// <summary>Nothing follows the first <see cref="CutAfter"/> bytes until this ends.</summary>
    public Task? Hold { get; init; }

    public FakeAnswer With(string header, string value)
    {
        Headers.Add((header, value));
        return this;
    }
}

/// <summary>A registry of the test's own on a free loopback port: it serves what was added, unless <see cref="Intercept"/> answers.</summary>
internal sealed class FakeRegistry : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentDictionary<string, (string Type, byte[] Bytes, string Digest)> _content = new();
    private readonly ConcurrentQueue<FakeRequest> _requests = new();
    private readonly ConcurrentBag<Task> _connections = [];
    private readonly Task _accepting;
    private long _endlessBytes;

    private readonly SslServerAuthenticationOptions? _tls;

    /// <param name="tls">Null = plain http.</param>
    public FakeRegistry(SslServerAuthenticationOptions? tls = null)
    {
        _tls = tls;
        _listener.Start();
        Host = $"127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}";
        _accepting = AcceptAsync();
    }

    public string Host { get; }

    /// <summary>What endless answers have sent.</summary>
    public long EndlessBytes => Interlocked.Read(ref _endlessBytes);

    public IReadOnlyList<FakeRequest> Requests => [.. _requests];

    public Func<FakeRequest, FakeAnswer?> Intercept { get; set; } = _ => null;

    public IEnumerable<FakeRequest> BlobGets(string digest) => Requests.Where(r => r.Method == "GET" && r.Path.EndsWith("/blobs/" + digest, StringComparison.Ordinal));

    public string Add(TestImage image, string repository = "a/b", string tag = "1")
    {
        AddManifest(repository, tag, image.Manifest);
        foreach (var blob in image.Layers.Prepend(image.Config)) AddBlob(repository, blob);
        return $"{Host}/{repository}:{tag}";
    }

    public void AddManifest(string repository, string tag, Blob manifest)
    {
        _content[$"/v2/{repository}/manifests/{tag}"] = (manifest.MediaType, manifest.Bytes, manifest.Digest);
        _content[$"/v2/{repository}/manifests/{manifest.Digest}"] = (manifest.MediaType, manifest.Bytes, manifest.Digest);
    }

    public void AddBlob(string repository, Blob blob) =>
        _content[$"/v2/{repository}/blobs/{blob.Digest}"] = ("application/octet-stream", blob.Bytes, blob.Digest);

    /// <summary>The answer a well-behaved registry gives.</summary>
    public FakeAnswer Serve(FakeRequest request)
    {
        if (request.Path == "/v2/") return new FakeAnswer(200, "{}");
        if (!_content.TryGetValue(request.Path, out var found))
            return new FakeAnswer(404, """{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}""");
        var headers = new List<(string, string)> { ("Content-Type", found.Type), ("Docker-Content-Digest", found.Digest) };
        if (request["Range"] is not { } range) return new FakeAnswer(200, found.Bytes) { Headers = headers };
        var from = int.Parse(range["bytes=".Length..].TrimEnd('-'), CultureInfo.InvariantCulture);
        headers.Add(("Content-Range", $"bytes {from}-{found.Bytes.Length - 1}/{found.Bytes.Length}"));
        return new FakeAnswer(206, found.Bytes[from..]) { Headers = headers };
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _accepting; // a connection that comes now is followed by one more accept, which a stopped listener refuses
        _listener.Stop();
        await Task.WhenAll(_connections);
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true) _connections.Add(TalkAsync(await _listener.AcceptSocketAsync(_stop.Token)));
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
        }
    }

    private async Task TalkAsync(Socket socket)
    {
        await Task.Yield();
        try
        {
            using var closing = socket;
            await using Stream stream = _tls is null ? new NetworkStream(socket) : new SslStream(new NetworkStream(socket));
            if (stream is SslStream secure) await secure.AuthenticateAsServerAsync(_tls!, _stop.Token);
            if (await ReadAsync(stream) is not { } request) return;
            _requests.Enqueue(request);
            await AnswerAsync(stream, request, Intercept(request) ?? Serve(request));
            if (stream is SslStream ended) await ended.ShutdownAsync();
            socket.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException or AuthenticationException)
        {
            // the client went away, or the test is over
        }
    }

    private async Task AnswerAsync(Stream stream, FakeRequest request, FakeAnswer answer)
    {
        if (answer.Raw is not null)
        {
            await stream.WriteAsync(answer.Raw, _stop.Token);
            return;
        }
        var head = new StringBuilder($"HTTP/1.1 {answer.Status} Answer\r\nConnection: close\r\n");
        foreach (var (name, value) in answer.Headers) head.Append(CultureInfo.InvariantCulture, $"{name}: {value}\r\n");
        if (!answer.Endless && !answer.Headers.Any(h => h.Name == "Content-Length")) head.Append(CultureInfo.InvariantCulture, $"Content-Length: {answer.Body.Length}\r\n");
        await stream.WriteAsync(Encoding.ASCII.GetBytes(head + "\r\n"), _stop.Token);
        if (request.Method == "HEAD") return;
        while (answer.Endless)
        {
            await stream.WriteAsync(answer.Body, _stop.Token);
            Interlocked.Add(ref _endlessBytes, answer.Body.Length);
        }
        await stream.WriteAsync(answer.Body.AsMemory(0, answer.CutAfter ?? answer.Body.Length), _stop.Token);
        if (answer.Hold is null) return;
        await answer.Hold.WaitAsync(_stop.Token);
        await stream.WriteAsync(answer.Body.AsMemory(answer.CutAfter ?? answer.Body.Length), _stop.Token);
    }

    private async Task<FakeRequest?> ReadAsync(Stream stream)
    {
        var bytes = new List<byte>();
        var one = new byte[1];
        while (bytes.Count < 4 || !bytes[^4..].SequenceEqual("\r\n\r\n"u8.ToArray()))
        {
            if (await stream.ReadAsync(one, _stop.Token) == 0) return null;
            bytes.Add(one[0]);
            if (bytes[0] != 0x16) continue;
            await stream.WriteAsync("HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTPS request to an HTTP server.\n"u8.ToArray(), _stop.Token);
            return null;
        }
        var lines = Encoding.ASCII.GetString([.. bytes]).TrimEnd().Split("\r\n");
        var headers = lines.Skip(1).Select(line => line.Split(": ", 2))
            .ToDictionary(pair => pair[0], pair => pair[1], StringComparer.OrdinalIgnoreCase);
        var body = new byte[int.Parse(headers.GetValueOrDefault("Content-Length", "0"), CultureInfo.InvariantCulture)];
        await stream.ReadExactlyAsync(body, _stop.Token);
        var start = lines[0].Split(' ');
        return new FakeRequest(start[0], start[1], headers, Encoding.UTF8.GetString(body));
    }
}
