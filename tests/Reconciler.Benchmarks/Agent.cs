using System.Diagnostics;
using System.Globalization;
using System.Text;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.Benchmarks;

/// <summary>The published binary as the agent of a folder, or of a cluster.</summary>
internal sealed class Agent : IAsyncDisposable
{
    private readonly TempFolder _folder = new();
    private readonly ContainerdDaemon _daemon;
    private readonly Registry _registry;
    private readonly string? _kubeconfig;
    private Process? _process;

    /// <param name="kubeconfig">Null = it has a folder and no cluster.</param>
    public Agent(ContainerdDaemon daemon, Registry registry, string? kubeconfig = null)
    {
        (_daemon, _registry, _kubeconfig) = (daemon, registry, kubeconfig);
        Directory.CreateDirectory(_folder["manifests"]);
    }

    public int Pid => _process!.Id;

    public static string Binary { get; } = FindBinary();

    public void Start()
    {
        var start = new ProcessStartInfo("/bin/sh", ["-c", "log=$1; shift; exec \"$@\" 2>>\"$log\"", "sh", _folder["agent.log"], Binary, "agent", .. Flags()]);
        start.Environment["RECONCILER_CONTAINERD_ADDRESS"] = _daemon.Address;
        start.Environment["RECONCILER_CONTAINERD_NAMESPACE"] = _daemon.Namespace;
        start.Environment["RECONCILER_STATE_DIR"] = _folder["state"];
        start.Environment["RECONCILER_LOG_DIR"] = _folder["log"];
        start.Environment["RECONCILER_NODE_NAME"] = "bench";
        start.Environment["RECONCILER_METRICS_ADDRESS"] = "127.0.0.1:0";
        start.Environment["RECONCILER_HTTP_ADDRESS"] = "127.0.0.1:0";
        start.Environment["RECONCILER_PLAIN_HTTP"] = _registry.Host;
        _process = Process.Start(start)!;
    }

    /// <summary>The agent's log from a place on.</summary>
    public string Log => File.Exists(_folder["agent.log"]) ? File.ReadAllText(_folder["agent.log"]) : "";

    public async Task StopAsync()
    {
        Signals.Send(_process!.Id, Signals.Terminate);
        await _process.WaitForExitAsync().WaitAsync(Eventually.DefaultLimit);
        _process = null;
    }

    /// <summary>One file with n workloads of one container.</summary>
    public void Declare(int n)
    {
        var yaml = new StringBuilder();
        for (var i = 0; i < n; i++)
        {
            yaml.Append(CultureInfo.InvariantCulture, $"apiVersion: reconciler.dev/v1alpha1\nkind: NodeWorkload\nmetadata: {{name: w{i:000}}}\nspec:\n")
                .Append("  terminationGracePeriodSeconds: 0\n  hostNetwork: true\n  containers:\n")
                .Append(CultureInfo.InvariantCulture, $"  - {{name: c, image: \"{_registry.Host}/lib/busybox:1\", command: [sleep, \"1000000\"]}}\n---\n");
        }
        File.WriteAllText(_folder[".new"], yaml.ToString());
        File.Move(_folder[".new"], _folder["manifests/all.yaml"], overwrite: true);
    }

    public async ValueTask DisposeAsync()
    {
        if (_process is not null) await StopAsync();
        _folder.Dispose();
    }

    private string[] Flags() => _kubeconfig is null ? ["--manifests", _folder["manifests"]] : ["--kubernetes", "--kubeconfig", _kubeconfig];

    private static string FindBinary()
    {
        for (var folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            var binary = Path.Combine(folder, "artifacts/bin/reconciler");
            if (File.Exists(binary)) return binary;
        }
        throw new InvalidOperationException("artifacts/bin/reconciler is missing: run scripts/build.sh");
    }
}
