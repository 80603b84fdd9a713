using System.Diagnostics;

namespace Reconciler.Testing.Containerd;

/// <summary>A private containerd: own root, state, socket and namespace. It leaves nothing behind.</summary>
public sealed class ContainerdDaemon : IAsyncDisposable
{
    private static readonly string[] UnusedPlugins =
    [
        "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.podsandbox.controller.v1.podsandbox",
        "io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs",
        "io.containerd.snapshotter.v1.devmapper",
    ];

    private readonly TempFolder _folder = new();
    private Process? _process;

    private readonly string _disabledPlugins;
    private readonly IReadOnlyList<string> _hostPaths;

    private readonly string _stateLimit;

    private ContainerdDaemon(IEnumerable<string> withoutPlugins, IReadOnlyList<string> hostPaths, string stateLimit = "2s")
    {
        _stateLimit = stateLimit;
        _hostPaths = hostPaths;
        Namespace = "t" + Names.Unique();
        _disabledPlugins = string.Join(", ", UnusedPlugins.Concat(withoutPlugins).Select(plugin => $"\"{plugin}\""));
    }

    /// <summary>Folder with the containerd, ctr and shim under test: the machine's own unless the environment names another version's.</summary>
    public static string Bin { get; } = Environment.GetEnvironmentVariable("RECONCILER_TEST_CONTAINERD") is { Length: > 0 } bin ? bin : "/usr/bin";

    public string Address => _hostPaths.Count == 0 ? _folder["c.sock"] : HostPath("/run/containerd/containerd.sock");

    public string Root => _folder["root"];

    public string Folder => _folder.Path;

    /// <summary>runc's state is shared by all daemons of a machine, so no two tests share a namespace.</summary>
    public string Namespace { get; }

    public int Pid => _process?.Id ?? throw new InvalidOperationException("containerd does not run");

    public string Log => File.Exists(_folder["log"]) ? File.ReadAllText(_folder["log"]) : "";

    /// <param name="withoutPlugins">Ids of plugins that it shall not have.</param>
    public static async Task<ContainerdDaemon> StartAsync(params string[] withoutPlugins)
    {
        var daemon = new ContainerdDaemon(withoutPlugins, []);
        await daemon.StartAgainAsync();
        return daemon;
    }

    /// <summary>For tests that stop no shim: a slow machine is no reason to call a task UNKNOWN, as after the usual 2 s.</summary>
    public static async Task<ContainerdDaemon> StartPatientAsync()
    {
        var daemon = new ContainerdDaemon([], [], "1m");
        await daemon.StartAgainAsync();
        return daemon;
    }

    /// <summary>As the containerd of a whole node: in a mount namespace where /run/containerd and the given paths are folders of this one alone.</summary>
    public static async Task<ContainerdDaemon> StartAsNodeAsync(params string[] hostPaths)
    {
        var daemon = new ContainerdDaemon([], ["/run/containerd", .. hostPaths]);
        await daemon.StartAgainAsync();
        return daemon;
    }

    /// <summary>Where something below a path of <see cref="StartAsNodeAsync"/> is for us.</summary>
    public string HostPath(string path) => $"{_folder["host"]}{path}";

    public async Task StartAgainAsync()
    {
        if (_process is { HasExited: false }) return;
        await File.WriteAllTextAsync(_folder["config.toml"], $"""
            version = 2
            root = "{Root}"
            state = "{_folder["state"]}"
            disabled_plugins = [{_disabledPlugins}]
            [grpc]
              address = "{Address}"
            [plugins."io.containerd.internal.v1.opt"]
              path = "{_folder["opt"]}"
            [timeouts] # a shim that does not answer within the usual 5 s of a start is taken for dead, and its container killed
              "io.containerd.timeout.shim.load" = "1m"
              "io.containerd.timeout.task.state" = "{_stateLimit}"
            """);
        await File.WriteAllTextAsync(_folder["namespace"], Namespace); // scripts/test.sh sweeps by it
        foreach (var path in _hostPaths)
        {
            Directory.CreateDirectory(HostPath(path));
            Directory.CreateDirectory(path); // as kubelet's DirectoryOrCreate does; empty
        }
        // exec: the pid is the daemon's own. The shim is looked up in the working folder, then PATH, then beside containerd.
        const string run = "cd \"$1\"; exec \"$0\" --config config.toml >>log 2>&1 </dev/null";
        // Shared again, but with nobody outside: what the kubelet asks of a node for mountPropagation.
        const string separate = "set -e; mount --make-rshared /; folder=$1; shift; for path; do mount --bind \"$folder/host$path\" \"$path\"; done; set -- \"$folder\"; ";
        string[] arguments = [$"{Bin}/containerd", Folder];
        var start = _hostPaths.Count == 0
            ? new ProcessStartInfo("/bin/sh", ["-c", run, .. arguments])
            : new ProcessStartInfo("unshare", ["-m", "--propagation", "private", "/bin/sh", "-c", separate + run, .. arguments, .. _hostPaths]);
        start.Environment["PATH"] = $"{Bin}:{Environment.GetEnvironmentVariable("PATH")}";
        _process = Process.Start(start)!;
        await File.WriteAllTextAsync(_folder["pid"], _process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture));
        await Eventually.UntilAsync(
            async () =>
            {
                if (_process.HasExited) throw new InvalidOperationException("containerd ended: " + Log);
                return File.Exists(Address) && (await Shell.RunAsync($"{Bin}/ctr", ["-a", Address, "version"])).ExitCode == 0;
            },
            "containerd answers");
    }

    /// <summary>Runs ctr in the daemon's namespace and returns its output.</summary>
    public Task<string> CtrAsync(params string[] arguments) =>
        Shell.OutputAsync($"{Bin}/ctr", ["-a", Address, "-n", Namespace, .. arguments]);

    /// <summary>Freezes a container; runc gives that up on cgroup v1 where processes fork all the while, and it is tried again.</summary>
    public Task PauseAsync(string id) => Eventually.UntilAsync(
        async () =>
        {
            var result = await Shell.RunAsync($"{Bin}/ctr", ["-a", Address, "-n", Namespace, "tasks", "pause", id]);
            return result.ExitCode == 0 || (result.Error.Contains("unable to freeze", StringComparison.Ordinal) ? false : throw new InvalidOperationException(result.Error));
        },
        $"{id} is paused");

    /// <summary>SIGKILL: shims and containers live on.</summary>
    public async Task KillAsync()
    {
        if (_process is null) return;
        _process.Kill();
        await _process.WaitForExitAsync();
        _process = null;
    }

    /// <summary>SIGTERM: shims and containers live on.</summary>
    public async Task StopAsync()
    {
        if (_process is null) return;
        Signals.Send(_process.Id, Signals.Terminate);
        await _process.WaitForExitAsync();
        _process = null;
    }

    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        await Leftovers.SweepAsync(Address, Namespace);
        _folder.Dispose();
    }
}
