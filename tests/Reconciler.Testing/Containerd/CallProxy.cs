using System.Net.Sockets;

namespace Reconciler.Testing.Containerd;

/// <summary>Passes bytes between a client and containerd and counts the calls: each HTTP/2 HEADERS frame of the client opens one.</summary>
public sealed class CallProxy : IDisposable
{
    private static readonly TimeSpan QuietTime = TimeSpan.FromMilliseconds(500);

    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly CancellationTokenSource _stop = new();
    private readonly string _target;
    private readonly Lock _gate = new();
    private TaskCompletionSource? _fired;
    private int _calls;
    private int _left;
    private Action _act = () => { };
    private long _lastCall = TimeProvider.System.GetTimestamp();

    public CallProxy(string target, string address)
    {
        _target = target;
        Address = address;
        _listener.Bind(new UnixDomainSocketEndPoint(address));
        _listener.Listen();
        _ = AcceptAsync();
    }

    public string Address { get; }

    /// <summary>Calls begun so far.</summary>
    public int Calls
    {
        get
        {
            lock (_gate) return _calls;
        }
    }

    /// <summary>No call began for a while: the agent waits for events.</summary>
    public bool IsQuiet
    {
        get
        {
            lock (_gate) return TimeProvider.System.GetElapsedTime(_lastCall) > QuietTime;
        }
    }

    /// <summary>SIGKILL for the process once the nth call from now on was passed to containerd.</summary>
    public Task KillAtCall(int n, int pid) => AtCall(n, () => Signals.Send(pid, Signals.Kill));

    /// <summary>Acts once the nth call from now on was passed to containerd.</summary>
    public Task AtCall(int n, Action act)
    {
        lock (_gate)
        {
            _left = n;
            _act = act;
            _fired = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return _fired.Task;
        }
    }

    public void Dispose()
    {
        _stop.Cancel();
        _listener.Dispose();
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var client = await _listener.AcceptAsync(_stop.Token);
                _ = ServeAsync(client);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
        }
    }

    private async Task ServeAsync(Socket client)
    {
        using var near = client;
        using var far = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await far.ConnectAsync(new UnixDomainSocketEndPoint(_target), _stop.Token);
            await Task.WhenAny(PassAsync(near, far, new FrameCounter()), PassAsync(far, near, null));
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
        }
    }

    private async Task PassAsync(Socket from, Socket to, FrameCounter? counter)
    {
        var buffer = new byte[64 * 1024];
        try
        {
            while (true)
            {
                var n = await from.ReceiveAsync(buffer, _stop.Token);
                if (n == 0) return;
                var calls = counter?.Count(buffer.AsSpan(0, n)) ?? 0;
                for (var sent = 0; sent < n;) sent += await to.SendAsync(buffer.AsMemory(sent, n - sent), _stop.Token);
                for (; calls > 0; calls--) Called();
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
        }
    }

    private void Called()
    {
        lock (_gate)
        {
            _lastCall = TimeProvider.System.GetTimestamp();
            _calls++;
            if (_fired is null || _left == 0 || --_left > 0) return;
            _act();
            _fired.SetResult();
        }
    }

    /// <summary>Walks the frames of one direction of a connection (RFC 9113, 4.1), past the client preface.</summary>
    private sealed class FrameCounter
    {
        private readonly byte[] _head = new byte[9];
        private int _skip = 24;
        private int _have;

        public int Count(ReadOnlySpan<byte> bytes)
        {
            var calls = 0;
            while (bytes.Length > 0)
            {
                if (_skip > 0)
                {
                    var n = Math.Min(_skip, bytes.Length);
                    _skip -= n;
                    bytes = bytes[n..];
                    continue;
                }
                var take = Math.Min(9 - _have, bytes.Length);
                bytes[..take].CopyTo(_head.AsSpan(_have));
                _have += take;
                bytes = bytes[take..];
                if (_have < 9) continue;
                _have = 0;
                _skip = (_head[0] << 16) | (_head[1] << 8) | _head[2];
                if (_head[3] == 1) calls++;
            }
            return calls;
        }
    }
}
