using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Agent.Tests.Runtime;

namespace Reconciler.Agent.Tests.Tracing;

/// <summary>The agent as a process of its own, on a containerd of its own, and a collector in this one.</summary>
public sealed class TraceExportTests : IAsyncLifetime
{
    private const string Secret = "hunter2-in-the-environment";

    private readonly TempFolder _folder = new();
    private ContainerdDaemon _daemon = null!;
    private Process? _agent;

    public async ValueTask InitializeAsync()
    {
        _daemon = await ContainerdDaemon.StartAsync();
        await SharedDaemon.ImportAsync(_daemon);
        Directory.CreateDirectory(_folder["manifests"]);
        await File.WriteAllTextAsync(_folder["manifests/web.yaml"], $$"""
            apiVersion: reconciler.dev/v1alpha1
            kind: NodeWorkload
            metadata: {name: web, namespace: shop}
            spec:
              containers:
              - name: server
                image: "{{SharedDaemon.Image}}"
                imagePullPolicy: Never
                command: [sleep, "100000"]
                env: [{name: PASSWORD, value: "{{Secret}}"}]
            """);
    }

    public async ValueTask DisposeAsync()
    {
        if (_agent is { HasExited: false })
        {
            _agent.Kill();
            await _agent.WaitForExitAsync();
        }
        _agent?.Dispose();
        await _daemon.DisposeAsync();
        _folder.Dispose();
    }

    [Theory]
    [InlineData("--otlp-endpoint")]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT")]
    public async Task A_pass_is_a_trace_with_its_actions_and_calls_below_it(string setting)
    {
        await using var collector = Collector.Start();
        Start(setting, collector.Address.ToString().TrimEnd('/'));

        var create = await Eventually.GetAsync(() => Task.FromResult(
            collector.Spans.FirstOrDefault(span => span.Name == "CreateContainer" && span.Attributes["reconciler.outcome"] == "done")), "the span of the create arrives");
        var pass = await Eventually.GetAsync(() => Task.FromResult(collector.Spans.FirstOrDefault(span => span.Id == create.ParentId)), "the span of its pass arrives");
        var start = await Eventually.GetAsync(
            () => Task.FromResult(collector.Spans.FirstOrDefault(span => span.Name == "Tasks.Start" && span.ParentId == create.Id)), "the span of the start arrives");

        Assert.Equal(("reconcile", "", create.TraceId, create.TraceId), (pass.Name, pass.ParentId, pass.TraceId, start.TraceId));
        Assert.Equal(
            ("container", "shop", "web", "server", "acted", "1"),
            (pass.Attributes["reconciler.kind"], pass.Attributes["reconciler.namespace"], pass.Attributes["reconciler.workload"], pass.Attributes["reconciler.container"],
                pass.Attributes["reconciler.outcome"], pass.Attributes["reconciler.actions"]));
        Assert.Equal(SharedDaemon.Image, create.Attributes["reconciler.image"]);
        Assert.Equal(("grpc", "Tasks", "Start", "0", 3), (start.Attributes["rpc.system"], start.Attributes["rpc.service"], start.Attributes["rpc.method"], start.Attributes["rpc.grpc.status_code"], start.Kind));
        Assert.All([pass, create, start], span => Assert.True(span.Start > 0 && span.End > 0));
        Assert.Equal(("reconciler-agent", "node-1"), (pass.Resource["service.name"], pass.Resource["host.name"]));
        Assert.DoesNotContain(collector.Bodies, body => body.AsSpan().IndexOf(Encoding.UTF8.GetBytes(Secret)) >= 0);
        Assert.All(collector.Requests, request => Assert.Equal(("/v1/traces", "application/x-protobuf"), request));
        Assert.Equal(0, await StopAsync());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Without_its_collector_the_agent_does_its_work_and_stops_in_time(bool silent)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0); // connections are made, and nobody ever reads from them
        if (silent) listener.Start();
        Start("--otlp-endpoint", $"http://{(silent ? listener.LocalEndpoint : $"127.0.0.1:{Collector.FreePort()}")}");
        var first = await RunningAsync(0);

        Signals.Send(first, Signals.Kill);

        await RunningAsync(first);
        Assert.Equal(0, await StopAsync(within: 3 * TimeSpan.FromSeconds(5))); // three times the promise
    }

    private async Task<int> RunningAsync(int other)
    {
        var pid = 0;
        await Eventually.UntilAsync(async () =>
        {
            var running = (await _daemon.CtrAsync("tasks", "ls")).Split('\n').Where(line => line.EndsWith("RUNNING", StringComparison.Ordinal)).ToList();
            pid = running.Count == 1 ? int.Parse(running[0].Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1], System.Globalization.CultureInfo.InvariantCulture) : 0;
            return pid != 0 && pid != other;
        }, "the container runs");
        return pid;
    }

    private void Start(string setting, string endpoint)
    {
        string[] flags = setting.StartsWith('-') ? [setting, endpoint] : [];
        _agent = Process.Start(new ProcessStartInfo("/bin/sh",
        [
            "-c", "log=$0; exec \"$@\" 2>>\"$log\" >&2 </dev/null", _folder["log"],
            Path.Combine(AppContext.BaseDirectory, "reconciler"), "agent", "--manifests", _folder["manifests"], "--containerd-address", _daemon.Address, "--containerd-namespace", _daemon.Namespace,
            "--state-dir", _folder["state"], "--log-dir", _folder["logs"], "--node-name", "node-1", "--metrics-address", "none", "--http-address", "none", .. flags,
        ])
        {
            Environment = { [setting.StartsWith('-') ? "NO_COLOR" : setting] = setting.StartsWith('-') ? "1" : endpoint },
        })!;
    }

    private async Task<int> StopAsync(TimeSpan? within = null)
    {
        Signals.Send(_agent!.Id, Signals.Terminate);
        using var limit = new CancellationTokenSource(within ?? Eventually.DefaultLimit);
        await _agent.WaitForExitAsync(limit.Token);
        return _agent.ExitCode;
    }
}
