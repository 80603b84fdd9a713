using System.Globalization;
using System.Net.Sockets;

namespace Reconciler.Agent.Hosting;

/// <summary>
/// The service manager that started this process, systemd as a rule, over the datagram socket of sd_notify(3). Without one every call does nothing,
/// and none ever fails: what is lost is news, not work.
/// </summary>
internal sealed class ServiceManager : IDisposable
{
    private const int SendLimitMs = 1000;

    private readonly UnixDomainSocketEndPoint? _address;
    private readonly Socket? _socket;
    private string _status = "";
    private int _ready;

    private ServiceManager(string? address, TimeSpan? watchdog)
    {
        if (address is null) return;
        // '@' stands for the zero byte of an abstract name.
        _address = new UnixDomainSocketEndPoint(address[0] == '@' ? '\0' + address[1..] : address);
        _socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { SendTimeout = SendLimitMs };
        WatchdogPeriod = watchdog;
    }

    public bool IsPresent => _socket is not null;

    /// <summary>The process is killed when it keeps silent for so long; null = nobody watches.</summary>
    public TimeSpan? WatchdogPeriod { get; }

    /// <summary>Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. An address of another kind than a path or an abstract name counts as none.</summary>
    public static ServiceManager FromEnvironment(Func<string, string?> variable)
    {
        var address = variable("NOTIFY_SOCKET") is { Length: > 1 } given && given[0] is '/' or '@' ? given : null;
        var pid = variable("WATCHDOG_PID");
        var ours = string.IsNullOrEmpty(pid) || pid == Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        var watched = long.TryParse(variable("WATCHDOG_USEC"), NumberStyles.None, CultureInfo.InvariantCulture, out var microseconds) && microseconds > 0;
        return new ServiceManager(address, ours && watched ? TimeSpan.FromMicroseconds(microseconds) : null);
    }

    /// <summary>What it does now; the first call also says READY. One line for a person.</summary>
    public void Tell(string status)
    {
        status = status.ReplaceLineEndings(" ");
        var first = Interlocked.Exchange(ref _ready, 1) == 0;
        if (Interlocked.Exchange(ref _status, status) == status && !first) return;
        Send((first ? "READY=1\n" : "") + "STATUS=" + status);
    }

    public void Stopping() => Send("STOPPING=1\nSTATUS=stopping; the containers run on");

    /// <summary>Tells three times in <see cref="WatchdogPeriod"/> that all is well, as long as <paramref name="turn"/> ends; one that hangs is silence.</summary>
    /// <param name="turn">Done once the agent has come round.</param>
    /// <param name="time">Clock of the pauses.</param>
    /// <param name="stop">Ends it.</param>
    public async Task WatchAsync(Func<CancellationToken, Task> turn, TimeProvider time, CancellationToken stop)
    {
        if (WatchdogPeriod is not { } period) return;
        while (true)
        {
            await turn(stop);
            Send("WATCHDOG=1");
            await Task.Delay(period / 3, time, stop);
        }
    }

    public void Dispose() => _socket?.Dispose();

    private void Send(string message)
    {
        try
        {
            _socket?.SendTo(System.Text.Encoding.UTF8.GetBytes(message), _address!);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // nobody listens, or not in time: the manager draws its own conclusions from silence
        }
    }
}
