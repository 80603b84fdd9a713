using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace Reconciler.Agent.Tests.Tracing;

/// <summary>Takes traces as an OpenTelemetry collector does, OTLP over HTTP, on a free loopback port.</summary>
internal sealed class Collector : IAsyncDisposable
{
    private readonly HttpListener _listener;
    private readonly ConcurrentQueue<Span> _spans = new();
    private readonly Task _serving;

    private Collector(HttpListener listener, Uri address)
    {
        (_listener, Address) = (listener, address);
        _serving = ServeAsync();
    }

    /// <summary>What <c>--otlp-endpoint</c> is given.</summary>
    public Uri Address { get; }

    public IReadOnlyList<Span> Spans => [.. _spans];

    /// <summary>Content types and paths of the requests so far.</summary>
    public ConcurrentQueue<(string Path, string ContentType)> Requests { get; } = new();

    /// <summary>All bytes of the requests so far, to be searched for what must not be there.</summary>
    public ConcurrentQueue<byte[]> Bodies { get; } = new();

    public static Collector Start()
    {
        while (true)
        {
            var address = new Uri($"http://127.0.0.1:{FreePort()}/");
            var listener = new HttpListener { Prefixes = { address.ToString() } };
            try
            {
                listener.Start();
                return new Collector(listener, address);
            }
            catch (HttpListenerException)
            {
                listener.Close(); // somebody was faster: another port
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        _listener.Close();
        await _serving;
    }

    public static int FreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }

    private async Task ServeAsync()
    {
        while (true)
        {
            HttpListenerContext context;
            try
            {
                context = await _listener.GetContextAsync();
            }
            catch (Exception e) when (e is HttpListenerException or ObjectDisposedException)
            {
                return; // closed
            }
            using var body = new MemoryStream();
            await context.Request.InputStream.CopyToAsync(body);
            Requests.Enqueue((context.Request.Url!.AbsolutePath, context.Request.ContentType ?? ""));
            Bodies.Enqueue(body.ToArray());
            foreach (var span in Span.ReadAll(body.ToArray())) _spans.Enqueue(span);
            context.Response.ContentType = "application/x-protobuf";
            context.Response.Close();
        }
    }
}
