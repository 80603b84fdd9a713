using System.Text.Json.Nodes;
using Reconciler.Agent.Commands;
using Reconciler.Agent.State;
using Reconciler.Agent.Tests.Commands;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.Agent.Tests.Hosting;

/// <summary>The whole agent in this process, on a containerd of its own.</summary>
public sealed class AgentServiceTests : IAsyncLifetime
{
    private readonly TempFolder _folder = new();
    private readonly List<(CancellationTokenSource Stop, Task<int> End)> _agents = [];
    private ContainerdDaemon _daemon = null!;
    private string? _notify;
    private string _metrics = "none";

    public async ValueTask InitializeAsync()
    {
        _daemon = await ContainerdDaemon.StartAsync();
        Directory.CreateDirectory(_folder["manifests"]);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var (stop, end) in _agents)
        {
            await stop.CancelAsync();
            await end;
            stop.Dispose();
        }
        await _daemon.DisposeAsync();
        _folder.Dispose();
    }

    [Fact]
    public async Task It_waits_for_containerd_says_so_and_goes_on_when_it_comes()
    {
        await _daemon.KillAsync();
        var log = Start("state");
        await Eventually.UntilAsync(() => log.ToString().Contains($"waiting for containerd at {_daemon.Address}", StringComparison.Ordinal), "the log says it waits");
        await Eventually.UntilAsync(() => StateFile.Read(_folder["state/state.json"])?.Agent?.Phase == "WaitingForContainerd", "state.json says it waits");

        await _daemon.StartAgainAsync();

        await Eventually.UntilAsync(() => log.ToString().Contains("READY", StringComparison.Ordinal), "it is ready");
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(_folder["state"]));
        Assert.Equal(0, await StopAsync(0));
        // The command returns after 5 s at the latest; on a busy machine the last write may come after that.
        await Eventually.UntilAsync(() => StateFile.Read(_folder["state/state.json"])!.Agent!.Phase == "Stopped", "state.json says it stopped");
    }

    [Fact]
    public async Task A_service_manager_hears_ready_while_containerd_is_away_and_signs_of_life_until_the_end()
    {
        using var socket = new NotifySocket(_folder["notify"]);
        _notify = socket.Address;
        await _daemon.KillAsync();
        Start("state");
        await Eventually.UntilAsync(
            () => socket.Lines.Any(line => line.StartsWith($"STATUS=waiting for containerd at {_daemon.Address}", StringComparison.Ordinal)), "it says what it waits for");
        Assert.Equal(1, socket.Count("READY=1"));

        await _daemon.StartAgainAsync();

        await socket.HearsAsync("STATUS=reconciling: 0 ready, 0 waiting");
        var signs = socket.Count("WATCHDOG=1");
        await Eventually.UntilAsync(() => socket.Count("WATCHDOG=1") > signs + 2, "the loop's turns reach the watchdog");
        Assert.Equal(0, await StopAsync(0));
        await socket.HearsAsync("STOPPING=1");
        Assert.Equal(1, socket.Count("READY=1"));
    }

    [Fact]
    public async Task A_second_agent_waits_and_says_for_whom()
    {
        var first = Start("one");
        await Eventually.UntilAsync(() => first.ToString().Contains("READY", StringComparison.Ordinal), "the first is ready");
        using var socket = new NotifySocket(_folder["notify"]);
        _notify = socket.Address;
        var second = Start("two");
        await socket.HearsAsync($"STATUS=waiting: pid {Environment.ProcessId} serves this containerd and namespace");
        await Eventually.UntilAsync(() => second.ToString().Contains($"held by pid {Environment.ProcessId}", StringComparison.Ordinal), "the second names the first");
        Assert.DoesNotContain("READY", second.ToString(), StringComparison.Ordinal);

        Assert.Equal(0, await StopAsync(0));

        await Eventually.UntilAsync(() => second.ToString().Contains("READY", StringComparison.Ordinal), "the second takes over");
    }

    [Fact]
    public async Task What_cannot_be_pulled_is_listed_with_its_reason_and_planned()
    {
        var image = "127.0.0.1:1/app:1"; // nobody listens there
        await File.WriteAllTextAsync(_folder["manifests/web.yaml"], $$"""
            apiVersion: reconciler.dev/v1alpha1
            kind: NodeWorkload
            metadata: {name: web}
            spec:
              containers: [{name: server, image: "{{image}}"}]
            """, TestContext.Current.CancellationToken);

        var plan = await RunAsync("plan", "-f", _folder["manifests"]);
        Assert.Equal(2, plan.Code);
        Assert.Contains("+ default/web/server", plan.Out, StringComparison.Ordinal);
        Assert.Contains($"+ pull image {image}", plan.Out, StringComparison.Ordinal);
        Assert.Contains("No containers found.", (await RunAsync("get", "containers")).Error, StringComparison.Ordinal);

        var log = Start("state");
        await Eventually.UntilAsync(() => log.ToString().Contains("default/web/server: RegistryUnreachable", StringComparison.Ordinal), "the log names the reason");
        var row = await Eventually.GetAsync(
            async () => JsonNode.Parse((await RunAsync("get", "containers", "-o", "json")).Out)!["items"]!.AsArray().SingleOrDefault(),
            "state.json has it, too");

        Assert.Equal(("Pending", "RegistryUnreachable", image), ((string?)row["state"], (string?)row["reason"], (string?)row["image"]));
        Assert.Equal(2, (await RunAsync("plan")).Code); // for the folders of the agent that runs
        Assert.Equal(0, await StopAsync(0));
        var down = await RunAsync("get", "containers");
        Assert.Contains("RegistryUnreachable", down.Out, StringComparison.Ordinal);
        Assert.Contains("the agent does not run", down.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Its_health_is_served_while_it_waits_and_while_it_works()
    {
        _metrics = "127.0.0.1:0";
        await _daemon.KillAsync();
        var log = Start("state");
        var address = await Eventually.GetAsync(
            () => Task.FromResult(log.ToString().Split("serving ").ElementAtOrDefault(1)?.Split(' ')[0]), "the log says where");
        using var http = new HttpClient { BaseAddress = new Uri(address), Timeout = Eventually.DefaultLimit };
        await Eventually.UntilAsync(async () => (await GetAsync("/readyz")).Text.StartsWith($"WaitingForContainerd: {_daemon.Address}", StringComparison.Ordinal), "it says for what it waits");
        Assert.Equal((503, true), ((await GetAsync("/readyz")).Code, (await GetAsync("/readyz")).Text.EndsWith('\n')));
        Assert.Equal((200, "ok\n"), await GetAsync("/healthz"));

        await _daemon.StartAgainAsync();

        await Eventually.UntilAsync(async () => await GetAsync("/readyz") == (200, "ok\n"), "it is ready");
        Assert.Equal((200, "ok\n"), await GetAsync("/healthz"));

        async Task<(int Code, string Text)> GetAsync(string path)
        {
            using var answer = await http.GetAsync(new Uri(path, UriKind.Relative), TestContext.Current.CancellationToken);
            return ((int)answer.StatusCode, await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
        }
    }

    [Fact]
    public async Task A_port_that_is_taken_ends_it_where_it_was_given()
    {
        using var taken = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        taken.Start();
        _metrics = taken.LocalEndpoint.ToString()!;

        var (code, _, error) = await RunAsync("agent", "--manifests", _folder["manifests"]);

        Assert.Equal(1, code);
        Assert.Contains($"the agent cannot go on: --metrics-address: cannot listen on {_metrics}: another process has this port; give another", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task With_logs_as_json_its_last_words_are_json_too()
    {
        using var taken = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        taken.Start();
        _metrics = taken.LocalEndpoint.ToString()!;

        var (code, _, error) = await RunAsync("agent", "--manifests", _folder["manifests"], "--log-format", "json");

        Assert.Equal(1, code);
        var lines = error.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonNode.Parse(line)!).ToList();
        Assert.Equal(("critical", 1106), ((string?)lines[^1]["level"], (int?)lines[^1]["event"]));
        Assert.Contains(_metrics, (string?)lines[^1]["fields"]!["error"], StringComparison.Ordinal);
    }

    private SharedText Start(string stateDir)
    {
        var log = new SharedText();
        var stop = new CancellationTokenSource();
        var console = new CliConsole(new SharedText(), log) { Variable = name => Variable(name, stateDir) };
        _agents.Add((stop, Task.Run(() => Cli.RunAsync(["agent", "--manifests", _folder["manifests"]], console, stop.Token))));
        return log;
    }

    private async Task<int> StopAsync(int index)
    {
        await _agents[index].Stop.CancelAsync();
        return await _agents[index].End.WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
    }

    private Task<(int Code, string Out, string Error)> RunAsync(params string[] arguments) =>
        CliRun.RunAsync(arguments, name => Variable(name, "state"), TestContext.Current.CancellationToken);

    private string? Variable(string name, string stateDir) => name switch
    {
        "RECONCILER_CONTAINERD_ADDRESS" => _daemon.Address,
        "RECONCILER_CONTAINERD_NAMESPACE" => _daemon.Namespace,
        "RECONCILER_STATE_DIR" => _folder[stateDir],
        "RECONCILER_LOG_DIR" => _folder["log"],
        "RECONCILER_NODE_NAME" => "node-1",
        "NOTIFY_SOCKET" => _notify,
        "WATCHDOG_USEC" => "1000000",
        "RECONCILER_HTTP_ADDRESS" => "none",
        "RECONCILER_METRICS_ADDRESS" => _metrics, // one machine, many agents
        _ => null,
    };
}
