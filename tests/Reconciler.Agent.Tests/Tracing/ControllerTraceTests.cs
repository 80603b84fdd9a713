using System.Diagnostics;
using System.Text;
using Reconciler.Agent.Tests.Controller;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.Tracing;

/// <summary>The controller as a process of its own, on a real API server, and a collector in this one.</summary>
[Collection(ControllerCollection.Name)]
public sealed class ControllerTraceTests(ControllerCluster cluster)
{
    private const string Secret = "hunter2-in-the-environment";

    [Fact]
    public async Task A_pass_over_a_set_is_a_trace_with_its_requests_below_it()
    {
        using var folder = new TempFolder();
        await using var collector = Collector.Start();
        await using var scenario = await Scenario.StartAsync(cluster, nodes: 1);
        scenario.RunAgents();
        using var controller = Start(folder["log"], collector.Address.ToString());
        try
        {
            await scenario.ApplySetAsync(template: $$$"""{"spec":{"containers":[{"name":"main","image":"example.org/app:1","env":[{"name":"PASSWORD","value":"{{{Secret}}}"}]}]}}""");
            await scenario.ReadyAsync();

            var create = await ArrivesAsync(collector, span => span.Name == "PATCH nodeworkloads" && span.Attributes["url.path"].EndsWith($"/{scenario.Namespace}/nodeworkloads/{scenario.ChildName("web", 0)}", StringComparison.Ordinal));
            var pass = await ArrivesAsync(collector, span => span.Id == create.ParentId);
            var status = await ArrivesAsync(collector, span => span.Name == "PATCH nodeworkloadsets" && span.Attributes["url.path"].EndsWith($"/{scenario.Namespace}/nodeworkloadsets/web/status", StringComparison.Ordinal));

            Assert.Equal(("reconcile", "", create.TraceId), (pass.Name, pass.ParentId, pass.TraceId));
            Assert.Equal(("set", scenario.Namespace, "web"), (pass.Attributes["reconciler.kind"], pass.Attributes["reconciler.namespace"], pass.Attributes["reconciler.set"]));
            Assert.True(pass.Attributes.ContainsKey("reconciler.queue_wait_s"));
            Assert.Equal(("PATCH", "127.0.0.1", 3), (create.Attributes["http.request.method"], create.Attributes["server.address"], create.Kind));
            Assert.True(create.Status == 2 || create.Attributes["http.response.status_code"] == "201", $"{create}"); // the first try may have had no answer in time
            Assert.NotEqual("", status.ParentId);
            Assert.Equal("reconciler-controller", pass.Resource["service.name"]);
            // Leases, lists and watches go on all the time, and are none.
            Assert.All(collector.Spans, span => Assert.True(span.Name == "reconcile" || span.ParentId.Length > 0, span.Name));
            Assert.DoesNotContain(collector.Bodies, body => body.AsSpan().IndexOf(Encoding.UTF8.GetBytes(Secret)) >= 0);
        }
        finally
        {
            Signals.Send(controller.Id, Signals.Terminate); // it gives its Lease back
            using var limit = new CancellationTokenSource(Eventually.DefaultLimit);
            await controller.WaitForExitAsync(limit.Token);
        }
        Assert.Equal(0, controller.ExitCode);
    }

    private static Task<Span> ArrivesAsync(Collector collector, Func<Span, bool> which) =>
        Eventually.GetAsync(() => Task.FromResult(collector.Spans.FirstOrDefault(which)), "a span arrives");

    private Process Start(string log, string endpoint) => Process.Start(new ProcessStartInfo("/bin/sh",
    [
        "-c", "log=$0; exec \"$@\" 2>>\"$log\" >&2 </dev/null", log,
        Path.Combine(AppContext.BaseDirectory, "reconciler"), "controller", "--kubeconfig", cluster.ControllerKubeconfig, "--metrics-address", "none", "--otlp-endpoint", endpoint,
    ]))!;
}
