using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.EndToEnd.Tests;

/// <summary>A task of containerd, as ctr lists it.</summary>
public sealed record RunningTask(string Id, int Pid, string Status);

/// <summary>One node: a private containerd, a folder of manifests and the published binary as its agent.</summary>
public sealed class AgentNode : IAsyncDisposable
{
    private readonly TempFolder _folder = new();
    private readonly List<string> _logs = [];
    private Process? _agent;

    private AgentNode(ContainerdDaemon daemon) => Daemon = daemon;

    public ContainerdDaemon Daemon { get; }

    public string Manifests => _folder["manifests"];

    public string StateDir => _folder["state"];

    public string LogDir => _folder["log"];

    public string Folder => _folder.Path;

    public int AgentPid => _agent?.Id ?? throw new InvalidOperationException("the agent does not run");

    public bool AgentHasEnded => _agent is null || _agent.HasExited;

    /// <summary>Everything all agents of this node wrote to standard error.</summary>
    public string AgentLog => string.Join("\n", _logs.Select(File.ReadAllText));

    public static string Binary { get; } = FindBinary();

    public static async Task<AgentNode> StartAsync(bool start = true)
    {
        var node = new AgentNode(await ContainerdDaemon.StartAsync());
        Directory.CreateDirectory(node.Manifests);
        if (start) node.StartAgent();
        return node;
    }

    /// <summary>Writes a manifest the way editors do: beside, then renamed over.</summary>
    public void Declare(string file, string yaml)
    {
        var path = Path.Combine(Manifests, file);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        var beside = Path.Combine(Path.GetDirectoryName(path)!, "." + Path.GetFileName(path) + ".new");
        File.WriteAllText(beside, yaml);
        File.Move(beside, path, overwrite: true);
    }

    public void Withdraw(string file) => File.Delete(Path.Combine(Manifests, file));

    public void StartAgent(string? address = null, params string[] flags) => StartAgentWith(address, ["--manifests", Manifests, .. flags]);

    /// <summary>An agent that follows a cluster, and the folder only where its flags say so.</summary>
    public void StartClusterAgent(string kubeconfig, params string[] flags) => StartAgentWith(null, ["--kubernetes", "--kubeconfig", kubeconfig, .. flags]);

    private void StartAgentWith(string? address, string[] flags)
    {
        if (_agent is { HasExited: false }) throw new InvalidOperationException("the agent runs already");
        var log = _folder[$"agent{_logs.Count}.log"];
        File.WriteAllText(log, "");
        _logs.Add(log);
        var start = new ProcessStartInfo("/bin/sh", ["-c", "log=$1; shift; exec \"$@\" 2>>\"$log\" >&2 </dev/null", "sh", log, Binary, "agent", .. flags]);
        foreach (var (key, value) in Environment(address)) start.Environment[key] = value;
        _agent = Process.Start(start)!;
    }

    /// <summary>SIGKILL.</summary>
    public async Task KillAgentAsync()
    {
        if (_agent is null) return;
        _agent.Kill();
        await _agent.WaitForExitAsync();
        _agent = null;
    }

    /// <summary>SIGTERM; the exit code.</summary>
    public async Task<int> StopAgentAsync(TimeSpan? within = null)
    {
        Signals.Send(_agent!.Id, Signals.Terminate);
        using var limit = new CancellationTokenSource(within ?? Eventually.DefaultLimit);
        await _agent.WaitForExitAsync(limit.Token);
        var code = _agent.ExitCode;
        _agent = null;
        return code;
    }

    /// <summary>Runs the binary with this node's settings.</summary>
    public Task<CommandResult> RunAsync(params string[] arguments) => Shell.RunAsync(Binary, arguments, Environment(null));

    public async Task<List<RunningTask>> TasksAsync()
    {
        var lines = (await Daemon.CtrAsync("tasks", "ls")).Split('\n', StringSplitOptions.RemoveEmptyEntries).Skip(1);
        return [.. lines
            .Select(line => line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries))
            .Select(f => new RunningTask(f[0], int.Parse(f[1], CultureInfo.InvariantCulture), f[2]))];
    }

    public async Task<List<string>> ContainerIdsAsync() =>
        [.. (await Daemon.CtrAsync("containers", "ls", "-q")).Split('\n', StringSplitOptions.RemoveEmptyEntries)];

    /// <summary>The one running task whose id starts so; null while there is none or more than one.</summary>
    public async Task<RunningTask?> OnlyRunningAsync(string prefix)
    {
        var tasks = (await TasksAsync()).Where(t => t.Id.StartsWith(prefix + "-", StringComparison.Ordinal) && t.Status == "RUNNING").ToList();
        return tasks.Count == 1 ? tasks[0] : null;
    }

    public Task<RunningTask> RunningAsync(string prefix) =>
        Eventually.GetAsync(() => OnlyRunningAsync(prefix), $"{prefix} runs once; the agent said:\n{Tail()}");

    public Task<RunningTask> ReplacedAsync(string prefix, RunningTask old) => Eventually.GetAsync(
        async () => await OnlyRunningAsync(prefix) is { } task && task.Id != old.Id ? task : null,
        $"{prefix} runs anew");

    /// <summary>The rows of <c>get containers -o json</c> of every namespace.</summary>
    public async Task<List<JsonNode>> ContainersAsync() => await ItemsAsync("containers");

    public async Task<List<JsonNode>> ImagesAsync() => await ItemsAsync("images");

    /// <summary>Waits until plan finds nothing to do.</summary>
    public Task ConvergedAsync() => Eventually.UntilAsync(
        async () => (await RunAsync("plan", "--manifests", Manifests)).ExitCode == 0,
        "plan has nothing to do");

    public async ValueTask DisposeAsync()
    {
        if (_agent is { HasExited: false }) await KillAgentAsync();
        await Daemon.DisposeAsync();
        _folder.Dispose();
    }

    public Dictionary<string, string> Environment(string? address) => new()
    {
        ["RECONCILER_CONTAINERD_ADDRESS"] = address ?? Daemon.Address,
        ["RECONCILER_CONTAINERD_NAMESPACE"] = Daemon.Namespace,
        ["RECONCILER_STATE_DIR"] = StateDir,
        ["RECONCILER_LOG_DIR"] = LogDir,
        ["RECONCILER_NODE_NAME"] = "node-1",
        ["RECONCILER_METRICS_ADDRESS"] = "none", // one machine, many agents
        ["RECONCILER_HTTP_ADDRESS"] = "none",
        ["RECONCILER_PLAIN_HTTP"] = SharedRegistry.Host,
        ["NO_COLOR"] = "1",
    };

    public string Tail()
    {
        var log = AgentLog;
        return log.Length > 4000 ? log[^4000..] : log;
    }

    private async Task<List<JsonNode>> ItemsAsync(string what)
    {
        var result = await RunAsync("get", what, "-A", "-o", "json");
        if (result.ExitCode != 0) throw new InvalidOperationException(result.Error);
        return [.. JsonNode.Parse(result.Output)!["items"]!.AsArray().Select(item => item!)];
    }

    private static string FindBinary()
    {
        for (var folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
            if (File.Exists(Path.Combine(folder, "Reconciler.sln")))
                return Path.Combine(folder, "artifacts/bin/reconciler") is var binary && File.Exists(binary)
                    ? binary
                    : throw new InvalidOperationException($"{binary} is missing: run scripts/build.sh");
        throw new InvalidOperationException("not inside a checkout");
    }
}

/// <summary>One registry with one busybox for all tests of the assembly.</summary>
public sealed class SharedRegistry : IAsyncLifetime
{
    private static Registry? _registry;

    public static Registry Instance => _registry ?? throw new InvalidOperationException("the assembly fixture has not started");

    public static string Host => Instance.Host;

    /// <summary>Reference of the busybox image.</summary>
    public static string Busybox => $"{Host}/lib/busybox:1";

    public async ValueTask InitializeAsync()
    {
        _registry = await Registry.StartAsync();
        await _registry.PushAsync(TestImages.Busybox(), "lib/busybox", "1");
    }

    public async ValueTask DisposeAsync() => await Instance.DisposeAsync();
}

/// <summary>Manifests as text.</summary>
public static class Manifest
{
    /// <summary>A workload of containers that sleep; each name may carry a marker after <c>=</c> that only changes its hash.</summary>
    public static string Sleepers(string name, params string[] containers)
    {
        var yaml = new StringBuilder(Workload(name));
        foreach (var container in containers)
        {
            var parts = container.Split('=');
            yaml.Append(CultureInfo.InvariantCulture, $$"""
                  - name: {{parts[0]}}
                    image: {{SharedRegistry.Busybox}}
                    command: [sleep, "100000"]
                    env: [{name: MARK, value: "{{(parts.Length > 1 ? parts[1] : "")}}"}]

                """);
        }
        return yaml.ToString();
    }

    public static string Shell(string name, string script, string spec = "", string container = "")
    {
        return Workload(name, spec) + $$"""
              - name: main
                image: {{SharedRegistry.Busybox}}
                command: [sh, -c, {{JsonValue.Create(script).ToJsonString()}}]
            {{Indent(container)}}
            """;
    }

    /// <summary>A workload of one container with the given lines.</summary>
    public static string Container(string name, string spec, string container) =>
        Workload(name, spec) + $"  - name: main\n    image: {SharedRegistry.Busybox}\n" + Indent(container);

    private static string Workload(string name, string spec = "") =>
        $"apiVersion: reconciler.dev/v1alpha1\nkind: NodeWorkload\nmetadata:\n  name: {name}\nspec:\n  terminationGracePeriodSeconds: 1\n"
        + string.Concat(spec.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => $"  {line}\n"))
        + "  containers:\n";

    private static string Indent(string text) =>
        string.Concat(text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => $"    {line}\n"));
}
