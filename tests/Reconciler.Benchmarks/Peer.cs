using System.Diagnostics;
using System.Globalization;
using Reconciler.Testing;
using Reconciler.Testing.Images;

namespace Reconciler.Benchmarks;

/// <summary>podman or docker with roots and a socket of its own; both use their default seccomp filter and runc.</summary>
internal sealed class Peer : IAsyncDisposable
{
    private readonly TempFolder _folder = new();
    private readonly string _program;
    private readonly List<string> _flags = [];
    private readonly Dictionary<string, string> _environment = [];
    private readonly string _image;
    private Process? _daemon;

    private Peer(string program, Registry registry) => (_program, _image) = (program, $"{registry.Host}/lib/busybox:1");

    /// <summary>Null where podman, or the pause program that its pods need, is not installed.</summary>
    public static async Task<Peer?> PodmanAsync(Registry registry)
    {
        if (!File.Exists("/usr/bin/podman") || !File.Exists("/usr/bin/catatonit")) return null;
        var peer = new Peer("/usr/bin/podman", registry);
        await File.WriteAllTextAsync(peer._folder["containers.conf"], "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n");
        await File.WriteAllTextAsync(peer._folder["registries.conf"], $"[[registry]]\nlocation = \"{registry.Host}\"\ninsecure = true\n");
        peer._environment["CONTAINERS_CONF"] = peer._folder["containers.conf"];
        peer._environment["CONTAINERS_REGISTRIES_CONF"] = peer._folder["registries.conf"];
        peer._flags.AddRange(["--root", peer._folder["root"], "--runroot", peer._folder["run"], "--cgroup-manager=cgroupfs", "--events-backend=file", "--runtime", "runc"]);
        await peer.CallAsync("pull", peer._image);
        return peer;
    }

    /// <summary>Null where docker is not installed.</summary>
    public static async Task<Peer?> DockerAsync(Registry registry)
    {
        if (!File.Exists("/usr/sbin/dockerd") || !File.Exists("/usr/bin/docker")) return null;
        var peer = new Peer("/usr/bin/docker", registry);
        var start = new ProcessStartInfo("/bin/sh",
        [
            "-c", "log=$1; shift; exec \"$@\" >\"$log\" 2>&1", "sh", peer._folder["log"], "/usr/sbin/dockerd", "--data-root", peer._folder["root"], "--exec-root", peer._folder["run"],
            "--pidfile", peer._folder["pid"], "-H", "unix://" + peer._folder["s"], "--iptables=false", "--bridge=none", "--insecure-registry", registry.Host,
        ]);
        peer._daemon = Process.Start(start)!;
        peer._flags.AddRange(["-H", "unix://" + peer._folder["s"]]);
        await Eventually.UntilAsync(async () => (await Shell.RunAsync(peer._program, [.. peer._flags, "version"])).ExitCode == 0, "dockerd answers");
        await peer.CallAsync("pull", peer._image);
        return peer;
    }

    /// <summary>Starts container n with restart policy always.</summary>
    public Task RunAsync(int n) => CallAsync("run", "-d", "--restart=always", "--network", "host", "--name", Name(n), _image, "sleep", "1000000");

    /// <summary>kill -9 of container n until another process sleeps in its cgroup, looked at every millisecond.</summary>
    public async Task<TimeSpan> HealAsync(int n)
    {
        var pid = int.Parse(await CallAsync("inspect", "-f", "{{.State.Pid}}", Name(n)), CultureInfo.InvariantCulture);
        var line = File.ReadLines($"/proc/{pid}/cgroup").First(l => l.StartsWith("0:", StringComparison.Ordinal) || l.Contains("pids", StringComparison.Ordinal));
        var parts = line.Split(':', 3);
        var processes = $"/sys/fs/cgroup/{parts[1]}{parts[2]}/cgroup.procs";
        var begun = Stopwatch.GetTimestamp();
        Signals.Send(pid, Signals.Kill);
        while (!Sleeps(processes, pid))
        {
            if (Stopwatch.GetElapsedTime(begun) > Eventually.DefaultLimit) throw new TimeoutException($"{_program} did not restart {Name(n)}");
            await Task.Delay(1); // a finer step than what is measured
        }
        return Stopwatch.GetElapsedTime(begun);
    }

    /// <summary>podman kube play of one pod of n containers until it returns, and the pod's removal after the measurement.</summary>
    public async Task<TimeSpan> PlayAsync(int n)
    {
        var containers = Enumerable.Range(0, n).Select(i => $"  - {{name: c{i}, image: \"{_image}\", command: [sleep, \"1000000\"]}}\n");
        await File.WriteAllTextAsync(_folder["pod.yaml"], "apiVersion: v1\nkind: Pod\nmetadata: {name: fleet}\nspec:\n  hostNetwork: true\n  containers:\n" + string.Concat(containers));
        var begun = Stopwatch.GetTimestamp();
        await CallAsync("kube", "play", _folder["pod.yaml"]);
        var took = Stopwatch.GetElapsedTime(begun);
        await CallAsync("pod", "rm", "-f", "-t", "0", "fleet");
        return took;
    }

    public async ValueTask DisposeAsync()
    {
        var ids = (await CallAsync("ps", "-aq")).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        if (ids.Length > 0) await CallAsync(["rm", "-f", .. ids]);
        if (_daemon is not null)
        {
            Signals.Send(_daemon.Id, Signals.Terminate);
            await _daemon.WaitForExitAsync();
            _daemon.Dispose();
        }
        _folder.Dispose();
    }

    private static string Name(int n) => "bench-" + n.ToString(CultureInfo.InvariantCulture);

    private static bool Sleeps(string processes, int old)
    {
        try
        {
            return File.ReadLines(processes).Select(line => int.Parse(line, CultureInfo.InvariantCulture))
                .Any(pid => pid != old && File.ReadAllText($"/proc/{pid}/comm") == "sleep\n");
        }
        catch (IOException)
        {
            return false; // the cgroup or the process went while it was read
        }
    }

    private async Task<string> CallAsync(params string[] arguments)
    {
        var result = await Shell.RunAsync(_program, [.. _flags, .. arguments], _environment);
        return result.ExitCode == 0
            ? result.Output.Trim()
            : throw new InvalidOperationException($"{_program} {string.Join(' ', arguments)}: exit code {result.ExitCode}\n{result.Error}");
    }
}
