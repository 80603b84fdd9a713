using System.Net;
using System.Net.Sockets;

namespace Reconciler.Testing.Images;

/// <summary>Stands before a registry, and holds its bytes back once a number of them has passed, until it is told to let them go.</summary>
public sealed class HeldLink : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource _release = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly IPEndPoint _registry;
    private readonly Task _run;
    private long _left;

    /// <param name="registry">host:port.</param>
    /// <param name="bytes">How many pass at first, from the registry, over all connections.</param>
    public HeldLink(string registry, long bytes)
    {
        (_registry, _left) = (IPEndPoint.Parse(registry), bytes);
        _listener.Start();
        _run = AcceptAsync();
    }

    /// <summary>host:port.</summary>
    public string Host => _listener.LocalEndpoint.ToString()!;

    public void Release() => _release.TrySetResult();

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Dispose();
        await _run.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        var links = new List<Task>();
        try
        {
            while (true) links.Add(LinkAsync(await _listener.AcceptTcpClientAsync(_stop.Token)));
        }
        finally
        {
            await Task.WhenAll(links).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task LinkAsync(TcpClient client)
    {
        using var near = client;
        using var far = new TcpClient();
        await far.ConnectAsync(_registry, _stop.Token);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        var up = near.GetStream().CopyToAsync(far.GetStream(), ended.Token);
        var down = DownAsync(far.GetStream(), near.GetStream(), ended.Token);
        await Task.WhenAny(up, down);
        await ended.CancelAsync();
        await Task.WhenAll(up, down).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private async Task DownAsync(NetworkStream from, NetworkStream to, CancellationToken stop)
    {
        var buffer = new byte[4096];
        while (await from.ReadAsync(buffer, stop) is > 0 and var got)
        {
            if (Interlocked.Add(ref _left, -got) < 0) await _release.Task.WaitAsync(stop);
            await to.WriteAsync(buffer.AsMemory(0, got), stop);
        }
    }
}
