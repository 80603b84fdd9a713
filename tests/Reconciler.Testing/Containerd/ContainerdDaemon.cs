using System.Diagnostics;

namespace Reconciler.Testing.Containerd;

/// <summary>A private containerd: own root, state, socket and namespace. It leaves nothing behind.</summary>
public sealed class ContainerdDaemon : IAsyncDisposable
{
    private readonly TempFolder _folder = new();
    private readonly string _bin;
    private Process? _process;

    private ContainerdDaemon(string bin)
    {
        _bin = bin;
        Namespace = "t" + Names.Unique();
    }

    public string Address => _folder["c.sock"];

    public string Root => _folder["root"];

    public string Folder => _folder.Path;

    /// <summary>runc's state is shared by all daemons of a machine, so no two tests share a namespace.</summary>
    public string Namespace { get; }

    public int Pid => _process?.Id ?? throw new InvalidOperationException("containerd does not run");

    public string Log => File.Exists(_folder["log"]) ? File.ReadAllText(_folder["log"]) : "";

    /// <param name="bin">Folder with containerd, ctr and the shim; null = the machine's own.</param>
    public static async Task<ContainerdDaemon> StartAsync(string? bin = null)
    {
        var daemon = new ContainerdDaemon(bin ?? "/usr/bin");
        await daemon.StartAgainAsync();
        return daemon;
    }

    public async Task StartAgainAsync()
    {
        if (_process is { HasExited: false }) return;
        await File.WriteAllTextAsync(_folder["config.toml"], $"""
            version = 2
            root = "{Root}"
            state = "{_folder["state"]}"
            disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.podsandbox.controller.v1.podsandbox", "io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
            [grpc]
              address = "{Address}"
            [plugins."io.containerd.internal.v1.opt"]
              path = "{_folder["opt"]}"
            """);
        await File.WriteAllTextAsync(_folder["namespace"], Namespace); // scripts/test.sh sweeps by it
        // exec: the pid is the daemon's own. The shim is looked up in the working folder, then PATH.
        var start = new ProcessStartInfo("/bin/sh", ["-c", "cd \"$1\"; exec \"$0\" --config config.toml >>log 2>&1 </dev/null", $"{_bin}/containerd", Folder]);
        start.Environment["PATH"] = $"{_bin}:{Environment.GetEnvironmentVariable("PATH")}";
        _process = Process.Start(start)!;
        await File.WriteAllTextAsync(_folder["pid"], _process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture));
        await Eventually.UntilAsync(
            async () =>
            {
                if (_process.HasExited) throw new InvalidOperationException("containerd ended: " + Log);
                return File.Exists(Address) && (await Shell.RunAsync($"{_bin}/ctr", ["-a", Address, "version"])).ExitCode == 0;
            },
            "containerd answers");
    }

    /// <summary>Runs ctr in the daemon's namespace and returns its output.</summary>
    public Task<string> CtrAsync(params string[] arguments) =>
        Shell.OutputAsync($"{_bin}/ctr", ["-a", Address, "-n", Namespace, .. arguments]);

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
