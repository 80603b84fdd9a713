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
    private readonly HashSet<Link> _links = [];
    private TaskCompletionSource? _fired;
    private int _calls;
    private int _left;
    private Action _act = () => { };
    private long _lastCall = TimeProvider.System.GetTimestamp();
    private Fault _fault;

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

    /// <summary>Closes the connection as soon as containerd answers anything: what was asked is done, and nobody hears of it.</summary>
    public void CutAtAnswer() => Set(Fault.CutAtAnswer);

    /// <summary>Swallows all bytes in both directions until <see cref="Heal"/>.</summary>
    public void Freeze() => Set(Fault.Freeze);

    /// <summary>Swallows the answers until <see cref="Heal"/>; what is asked gets through.</summary>
    public void Mute() => Set(Fault.Mute);

    /// <summary>Ends a fault; connections that lost bytes are closed.</summary>
    public void Heal()
    {
        Link[] broken;
        lock (_gate)
        {
            _fault = Fault.None;
            broken = [.. _links.Where(link => link.IsBroken)];
        }
        foreach (var link in broken) link.Close();
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
        var link = new Link(near, far);
        lock (_gate) _links.Add(link);
        try
        {
            await far.ConnectAsync(new UnixDomainSocketEndPoint(_target), _stop.Token);
            await Task.WhenAny(PassAsync(link, near, far, new FrameCounter()), PassAsync(link, far, near, null));
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
        }
        lock (_gate) _links.Remove(link);
    }

    private void Set(Fault fault)
    {
        lock (_gate) _fault = fault;
    }

    /// <summary>What becomes of bytes that came.</summary>
    private Fault Suffer(Link link, bool isAnswer)
    {
        lock (_gate)
        {
            var fault = _fault == Fault.Freeze || isAnswer ? _fault : Fault.None;
            if (fault == Fault.CutAtAnswer) _fault = Fault.None;
            link.IsBroken |= fault != Fault.None;
            return fault;
        }
    }

    private async Task PassAsync(Link link, Socket from, Socket to, FrameCounter? counter)
    {
        var buffer = new byte[64 * 1024];
        try
        {
            while (true)
            {
                var n = await from.ReceiveAsync(buffer, _stop.Token);
                if (n == 0) return;
                var fault = Suffer(link, counter is null);
                if (fault == Fault.CutAtAnswer) return;
                if (fault != Fault.None) continue;
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

    private enum Fault
    {
        None,
        CutAtAnswer,
        Freeze,
        Mute,
    }

    private sealed class Link(Socket near, Socket far)
    {
        public bool IsBroken { get; set; }

        public void Close()
        {
            near.Dispose();
            far.Dispose();
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
