using Reconciler.Agent.Commands;
using Reconciler.Agent.Tests.Commands;
using Reconciler.Containerd;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.Agent.Tests.Page;

/// <summary>The whole agent in this process, with its page on a free port that a second start keeps.</summary>
internal sealed class PageAgent : IAsyncDisposable
{
    private readonly TempFolder _folder = new();

    /// <summary>Of no other test, so that nobody takes the port between two starts.</summary>
    private string _address = string.Create(System.Globalization.CultureInfo.InvariantCulture, $"127.{Random.Shared.Next(1, 255)}.{Random.Shared.Next(1, 255)}.{Random.Shared.Next(2, 255)}:0");
    private string _registries = "";
    private CancellationTokenSource? _stop;
    private Task<int> _run = Task.FromResult(0);
    private ContainerdDaemon _daemon = null!;
    private ContainerdClient _client = null!;

    public Registry Registry { get; private set; } = null!;

    public string Busybox { get; private set; } = "";

    public string Url => $"http://{_address}/";

    public HttpClient Http { get; } = new(new SocketsHttpHandler { UseProxy = false }) { Timeout = Eventually.DefaultLimit };

    public static async Task<PageAgent> StartAsync()
    {
        var agent = new PageAgent();
        agent._daemon = await ContainerdDaemon.StartAsync();
        agent.Registry = await Registry.StartAsync();
        agent.Busybox = await agent.Registry.PushAsync(TestImages.Busybox(), "lib/busybox", "1");
        agent._client = await ContainerdClient.ConnectAsync(new ContainerdClientOptions { Address = agent._daemon.Address, Namespace = agent._daemon.Namespace });
        Directory.CreateDirectory(agent._folder["manifests"]);
        return agent;
    }

    /// <param name="registries">Spoken to without TLS, beside the agent's own.</param>
    public async Task RunAsync(params string[] registries)
    {
        _registries = string.Join(',', registries.Append(Registry.Host));
        var log = new SharedText();
        _stop = new CancellationTokenSource();
        var console = new CliConsole(new SharedText(), log) { Variable = Variable };
        _run = Task.Run(() => Cli.RunAsync(["agent", "--manifests", _folder["manifests"]], console, _stop.Token));
        var url = await Eventually.GetAsync(() => Task.FromResult(log.ToString().Split("--http-address: serving http://").ElementAtOrDefault(1)?.Split(' ')[0]), "the log says where the page is");
        _address = url;
    }

    public async Task StopAsync()
    {
        if (_stop is null) return;
        await _stop.CancelAsync();
        await _run.WaitAsync(Eventually.DefaultLimit);
        _stop.Dispose();
        _stop = null;
    }

    public void Declare(string file, string yaml)
    {
        File.WriteAllText(_folder["new"], yaml);
        File.Move(_folder["new"], Path.Combine(_folder["manifests"], file), overwrite: true);
    }

    public void Withdraw(string file) => File.Delete(Path.Combine(_folder["manifests"], file));

    /// <summary>A workload of one container that sleeps.</summary>
    public string Sleeper(string name, string env = "", string? image = null) => string.Join('\n',
        "apiVersion: reconciler.dev/v1alpha1", "kind: NodeWorkload", "metadata: {name: " + name + "}", "spec:", "  terminationGracePeriodSeconds: 0", "  containers:",
        "  - name: main", $"    image: {image ?? Busybox}", "    command: [sleep, \"100000\"]", "    env: [{name: PASSWORD, value: \"" + env + "\"}]", "");

    /// <summary>SIGKILL to what runs of it.</summary>
    public async Task KillAsync(string prefix)
    {
        var task = (await _client.ListTasksAsync()).Single(task => task.Id.StartsWith(prefix, StringComparison.Ordinal) && task.Status == Containerd.TaskStatus.Running);
        Testing.Signals.Send(task.Pid, Testing.Signals.Kill);
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        Http.Dispose();
        await _client.DisposeAsync();
        await Registry.DisposeAsync();
        await _daemon.DisposeAsync();
        _folder.Dispose();
    }

    private string? Variable(string name) => name switch
    {
        "RECONCILER_CONTAINERD_ADDRESS" => _daemon.Address,
        "RECONCILER_CONTAINERD_NAMESPACE" => _daemon.Namespace,
        "RECONCILER_STATE_DIR" => _folder["state"],
        "RECONCILER_LOG_DIR" => _folder["log"],
        "RECONCILER_NODE_NAME" => "node-1",
        "RECONCILER_PLAIN_HTTP" => _registries,
        "RECONCILER_METRICS_ADDRESS" => "none",
        "RECONCILER_HTTP_ADDRESS" => _address,
        _ => null,
    };
}
