using Reconciler.Containerd;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.EndToEnd.Tests;

/// <summary>The image of scripts/image.sh through containerd, as the DaemonSet of manifests/base has it run.</summary>
public sealed class ImageTests(ClusterFixture cluster) : IClassFixture<ClusterFixture>
{
    private static readonly string ImageFile = Path.Combine(Checkout.Root, "artifacts/image/reconciler.tar");

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task As_a_pod_it_runs_what_is_applied_heals_it_and_a_newer_image_takes_over_without_touching_it()
    {
        var ns = "t" + Names.Unique();
        await cluster.Api.KubectlAsync("create", "namespace", ns);
        await using var host = await ContainerdDaemon.StartAsNodeAsync("/var/lib/reconciler", "/var/log/reconciler");
        Assert.True(File.Exists(ImageFile), $"{ImageFile} is missing: run scripts/image.sh");
        await host.CtrAsync("images", "import", "--index-name", "reconciler:old", ImageFile);
        using var folder = new TempFolder();
        var newer = TestImage.Read(ImageFile).With(new Archive().File("etc/newer", "").ToArray());
        await File.WriteAllBytesAsync(folder["newer.tar"], newer.ToArchive("localhost/reconciler:newer"), Cancellation);
        await host.CtrAsync("images", "import", folder["newer.tar"]);
        await using var client = await ContainerdClient.ConnectAsync(new ContainerdClientOptions { Address = host.Address, Namespace = host.Namespace }, Cancellation);
        var pod = new AgentPod(host, client, cluster.Api, "node-1");
        await pod.StartAsync("agent-old", "localhost/reconciler:dev");

        await cluster.Api.ApplyAsync(Workload(ns));
        await Eventually.UntilAsync(async () => await IsReadyAsync(ns), $"the workload is ready; the agent said:\n{pod.Log("agent-old")}");
        Assert.Equal((200, 200), (await pod.ProbeAsync("agent-old", "livenessProbe"), await pod.ProbeAsync("agent-old", "readinessProbe")));
        var first = await PidAsync(client, ns);
        Signals.Send(first, Signals.Kill);
        await Eventually.UntilAsync(async () => await PidAsync(client, ns) is var pid and > 0 && pid != first, $"it is healed; the agent said:\n{pod.Log("agent-old")}");
        var healed = await PidAsync(client, ns);
        // The volume and the log of the workload are the host's.
        await Eventually.UntilAsync( // it runs before its script has written, and its successor writes anew
            () => Directory.GetFiles(host.HostPath("/var/lib/reconciler"), "hello", SearchOption.AllDirectories) is [var file] && File.ReadAllText(file) == "hello\n", "the workload has written");
        Assert.NotEmpty(Directory.GetFiles(host.HostPath("/var/log/reconciler"), "*.out", SearchOption.AllDirectories));

        // What kubectl exec in the pod gives.
        var got = await pod.RunAsync("agent-old", "get", "containers", "-A", "-o", "name");
        Assert.Equal((0, $"container/{ns}/web/main\n"), (got.ExitCode, got.Output));

        Assert.Equal(0, (await pod.StopAsync("agent-old")).ExitCode);
        Assert.Equal(healed, await PidAsync(client, ns));
        await pod.StartAsync("agent-new", "localhost/reconciler:newer");
        await Eventually.UntilAsync(() => pod.Log("agent-new").Contains("READY", StringComparison.Ordinal), "the new agent is ready");
        Signals.Send(healed, Signals.Kill);
        await Eventually.UntilAsync(async () => await PidAsync(client, ns) is var pid and > 0 && pid != healed, $"the new one heals too; it said:\n{pod.Log("agent-new")}");

        await cluster.Api.KubectlAsync("delete", "-n", ns, "nodeworkload/web");
        await Eventually.UntilAsync(async () => await PidAsync(client, ns) == 0, "what is deleted goes");
        await pod.StopAsync("agent-new");
    }

    private async Task<bool> IsReadyAsync(string ns) =>
        await cluster.Api.KubectlAsync("get", "-n", ns, "nodeworkload/web", "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].status}") == "True";

    /// <summary>Of the workload's one running process; 0 = none.</summary>
    private static async Task<int> PidAsync(ContainerdClient client, string ns)
    {
        var running = (await client.ListTasksAsync(Cancellation)).Where(task => task.Id.StartsWith($"{ns}-web-", StringComparison.Ordinal) && task.Status == Reconciler.Containerd.TaskStatus.Running);
        return running.SingleOrDefault()?.Pid ?? 0;
    }

    private static string Workload(string ns) => $"""
        apiVersion: reconciler.dev/v1alpha1
        kind: NodeWorkload
        metadata: {"{"}name: web, namespace: {ns}{"}"}
        spec:
          nodeName: node-1
          terminationGracePeriodSeconds: 1
          volumes:
          - name: data
            emptyDir: {"{}"}
          containers:
          - name: main
            image: {SharedRegistry.Busybox}
            command: [sh, -c, "echo hello >/data/hello; exec sleep 100000"]
            securityContext: {"{"}runAsUser: 1000{"}"}
            volumeMounts: [{"{"}name: data, mountPath: /data{"}"}]

        """;
}
