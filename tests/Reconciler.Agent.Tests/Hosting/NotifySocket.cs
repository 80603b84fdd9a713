using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Text;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.Hosting;

/// <summary>The service manager's end of sd_notify: what was said, a line each, in order.</summary>
internal sealed class NotifySocket : IDisposable
{
    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
    private readonly ConcurrentQueue<string> _lines = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _reading;

    /// <param name="address">A path, or a name that begins with @.</param>
    public NotifySocket(string address)
    {
        Address = address;
        _socket.Bind(new UnixDomainSocketEndPoint(address[0] == '@' ? '\0' + address[1..] : address));
        _reading = ReadAsync();
    }

    public string Address { get; }

    public IReadOnlyList<string> Lines => [.. _lines];

    public int Count(string line) => _lines.Count(said => said == line);

    public Task HearsAsync(string line) =>
        Eventually.UntilAsync(() => _lines.Contains(line), $"{line} is said; so far: {string.Join(" | ", _lines)}");

    public void Dispose()
    {
        _stop.Cancel();
        _reading.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing).GetAwaiter().GetResult();
        _socket.Dispose();
        _stop.Dispose();
    }

    private async Task ReadAsync()
    {
        var buffer = new byte[8192];
        while (true)
        {
            var length = await _socket.ReceiveAsync(buffer, _stop.Token);
            foreach (var line in Encoding.UTF8.GetString(buffer, 0, length).Split('\n')) _lines.Enqueue(line);
        }
    }
}
