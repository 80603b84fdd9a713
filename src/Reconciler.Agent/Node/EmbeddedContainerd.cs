using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging;

namespace Reconciler.Agent.Node;

/// <summary>
/// A private containerd of the agent (<c>--embedded-containerd</c>): data under the state dir, a session of its own, so that it and its containers live on
/// while the agent is away. The next agent adopts it; there is never a second one on the same root.
/// </summary>
public sealed partial class EmbeddedContainerd
{
    private const string Program = "containerd";
    private const long OutputCap = 4 << 20;
    private const int LongestAddress = 107 - 6; // containerd binds ADDRESS.ttrpc beside it
    private const int SigTerm = 15;
    private const int SigKill = 9;

    // The pid file is written before exec: however early the agent dies, the next one finds the daemon. exec keeps pid and start time.
    private const string Launcher = """
        read -r stat </proc/$$/stat || exit 70
        set -- "$1" "$2" ${stat##*) }
        printf '%s %s %s\n' "$$" "${22}" "$2" >pid.new && mv pid.new pid || exit 71
        exec setsid "$1" --config "$PWD/config.toml" >>output 2>&1 </dev/null
        """;

    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan LongRun = TimeSpan.FromMinutes(1);

    private readonly string _folder;
    private readonly string _stateDir;
    private readonly string _hostRoot;
    private readonly TimeProvider _time;
    private readonly ILogger<EmbeddedContainerd> _logger;

    /// <param name="stateDir">The agent's state dir, e.g. /var/lib/reconciler.</param>
    /// <param name="hostRoot">Where the host's root is seen from here.</param>
    /// <param name="time">For the looks and pauses.</param>
    /// <param name="logger">Starts, adoptions and ends go there.</param>
    public EmbeddedContainerd(string stateDir, string hostRoot, TimeProvider time, ILogger<EmbeddedContainerd> logger)
    {
        _stateDir = Path.GetFullPath(stateDir);
        _folder = Path.Combine(_stateDir, "containerd");
        _hostRoot = hostRoot;
        _time = time;
        _logger = logger;
    }

    /// <summary>Where every command finds it.</summary>
    public static string SocketOf(string stateDir) => Path.Combine(Path.GetFullPath(stateDir), "containerd/c.sock");

    /// <summary>Why it cannot run here, for a person; null = it can. To be asked before <see cref="RunAsync"/>.</summary>
    public static string? Refusal(string stateDir, string hostRoot)
    {
        var socket = SocketOf(stateDir);
        if (Encoding.UTF8.GetByteCount(socket) is var length && length > LongestAddress)
            return $"--embedded-containerd: the socket {socket} would be {length} bytes long, the limit is {LongestAddress}: choose a shorter --state-dir";
        if (ContainerCheck.Refusal(hostRoot) is { } reason)
            return $"--embedded-containerd: {reason}; run the agent on the host, or give --containerd-address";
        return FindProgram() is null ? "--embedded-containerd: containerd is not on PATH: install it (Debian: apt-get install containerd runc)" : null;
    }

    /// <summary>Adopts or starts it and keeps it running; cancellation ends the watching and leaves it running.</summary>
    /// <exception cref="InvalidOperationException">With the text of <see cref="Refusal"/>.</exception>
    public async Task RunAsync(CancellationToken cancellation)
    {
        if (Refusal(_stateDir, _hostRoot) is { } refusal) throw new InvalidOperationException(refusal);
        Directory.CreateDirectory(_folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        using var only = await InstanceLock.AcquireAsync(Path.Combine(_folder, "lock"), _time, _logger, cancellation);
        var pause = FirstPause;
        while (true)
        {
            var since = _time.GetUtcNow();
            var failure = "";
            try
            {
                await KeepAsync(cancellation);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidOperationException or System.ComponentModel.Win32Exception)
            {
                failure = e.Message;
            }
            if (_time.GetUtcNow() - since >= LongRun) pause = FirstPause;
            Ended(failure.Length > 0 ? failure : LastOutput(), pause.TotalSeconds);
            await Task.Delay(pause, _time, cancellation);
            pause = pause * 2 < LongestPause ? pause * 2 : LongestPause;
        }
    }

    /// <summary>Returns when the daemon has ended.</summary>
    private async Task KeepAsync(CancellationToken cancellation)
    {
        var daemon = ProcessIdentity.Read(PidFile);
        if (daemon is not null && daemon.IsAlive()) Adopted(daemon.Pid);
        else daemon = await StartAsync(cancellation);
        if (daemon is null) return;
        if (!await AnswersAsync(daemon, cancellation))
        {
            if (!daemon.IsAlive()) return;
            Silent(daemon.Pid, AnswerLimit.TotalSeconds);
            await StopAsync(daemon, cancellation);
            return;
        }
        while (daemon.IsAlive()) await Task.Delay(Look, _time, cancellation);
    }

    private async Task<ProcessIdentity?> StartAsync(CancellationToken cancellation)
    {
        var program = FindProgram() ?? throw new InvalidOperationException("containerd is not on PATH");
        await File.WriteAllTextAsync(Path.Combine(_folder, "config.toml"), Configuration(), cancellation);
        var output = new FileInfo(OutputFile);
        if (output.Exists && output.Length > OutputCap) File.Move(OutputFile, OutputFile + ".1", overwrite: true);
        File.Delete(PidFile);
        // The shim is looked up in the working folder first, then in PATH.
        var start = new ProcessStartInfo("/bin/sh", ["-c", Launcher, "sh", program, ProcessIdentity.CurrentBoot]) { WorkingDirectory = _folder };
        foreach (var name in new[] { "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES" }) start.Environment.Remove(name);
        using var launched = Process.Start(start) ?? throw new InvalidOperationException("cannot start /bin/sh");
        while (!launched.HasExited)
        {
            if (ProcessIdentity.Read(PidFile) is { } daemon)
            {
                Started(daemon.Pid, SocketOf(_stateDir));
                return daemon;
            }
            await Task.Delay(TimeSpan.FromMilliseconds(10), _time, cancellation);
        }
        return null;
    }

    /// <summary>False = it ended, or did not accept a connection in time.</summary>
    private async Task<bool> AnswersAsync(ProcessIdentity daemon, CancellationToken cancellation)
    {
        var limit = _time.GetUtcNow() + AnswerLimit;
        while (daemon.IsAlive() && _time.GetUtcNow() < limit)
        {
            if (await AcceptsAsync(cancellation)) return true;
            await Task.Delay(TimeSpan.FromMilliseconds(50), _time, cancellation);
        }
        return false;
    }

    private async Task<bool> AcceptsAsync(CancellationToken cancellation)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(SocketOf(_stateDir)), cancellation);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private async Task StopAsync(ProcessIdentity daemon, CancellationToken cancellation)
    {
        Libc.Signal(daemon.Pid, SigTerm);
        var limit = _time.GetUtcNow() + StopLimit;
        while (daemon.IsAlive())
        {
            if (_time.GetUtcNow() >= limit) Libc.Signal(daemon.Pid, SigKill);
            await Task.Delay(Look, _time, cancellation);
        }
    }

    private string Configuration() => $"""
        version = 2
        root = {Quoted("root")}
        state = {Quoted("state")}
        disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.podsandbox.controller.v1.podsandbox", "io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
        [grpc]
          address = {Quoted("c.sock")}
        [plugins."io.containerd.internal.v1.opt"]
          path = {Quoted("opt")}

        """;

    private string Quoted(string name) =>
        "\"" + Path.Combine(_folder, name).Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal) + "\"";

    private string LastOutput()
    {
        try
        {
            return File.ReadLines(OutputFile).LastOrDefault() ?? "it said nothing";
        }
        catch (IOException)
        {
            return "it said nothing";
        }
    }

    private string PidFile => Path.Combine(_folder, "pid");

    private string OutputFile => Path.Combine(_folder, "output");

    private static string? FindProgram() => (Environment.GetEnvironmentVariable("PATH") ?? "")
        .Split(':', StringSplitOptions.RemoveEmptyEntries)
        .Select(folder => Path.Combine(folder, Program))
        .FirstOrDefault(File.Exists);

    [LoggerMessage(EventId = 640, Level = LogLevel.Information, Message = "started a private containerd, pid {Pid}, socket {Socket}")]
    private partial void Started(int pid, string socket);

    [LoggerMessage(EventId = 641, Level = LogLevel.Information, Message = "adopted the private containerd that runs, pid {Pid}")]
    private partial void Adopted(int pid);

    [LoggerMessage(EventId = 642, Level = LogLevel.Warning, Message = "the private containerd ended and is started again in {Seconds} s: {Reason}")]
    private partial void Ended(string reason, double seconds);

    [LoggerMessage(EventId = 643, Level = LogLevel.Warning, Message = "the private containerd, pid {Pid}, does not answer for {Seconds} s and is stopped")]
    private partial void Silent(int pid, double seconds);
}
