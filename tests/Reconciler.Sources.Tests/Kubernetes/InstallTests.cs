using Reconciler.Testing;
using Reconciler.Testing.Kubernetes;

namespace Reconciler.Sources.Tests.Kubernetes;

/// <summary>The development overlay, the change from it to the base, and the API server's fairness, as kubectl installs them.</summary>
public sealed class InstallTests
{
    private static readonly string Overlay = Path.Combine(Checkout.Root, "manifests/overlays/development");

    [Fact]
    public async Task The_overlay_installs_and_the_base_over_it_and_neither_leaves_kubectl_anything_to_change()
    {
        await using var server = await ApiServer.StartAsync();

        await server.KubectlAsync("apply", "-k", Overlay);
        await server.KubectlAsync("wait", "--for", "condition=Established", "--timeout", "90s", "crd", "--all"); // their status moves until then
        await IsSettledAsync(server, Overlay);
        await AreAsync(server, "1 reconciler:dev Never debug none", "reconciler:dev Never debug none");
        Assert.Equal(
            "reconciler-agent workload-high leader-election ",
            await server.KubectlAsync(
                "get", "flowschemas", "reconciler-agent", "reconciler-controller", "reconciler-controller-lease",
                "-o", "jsonpath={range .items[*]}{.spec.priorityLevelConfiguration.name} {end}"));
        Assert.Equal("10", await server.KubectlAsync("get", "prioritylevelconfiguration", "reconciler-agent", "-o", "jsonpath={.spec.limited.nominalConcurrencyShares}"));

        await server.KubectlAsync("apply", "-k", InstalledCluster.Base);
        await IsSettledAsync(server, InstalledCluster.Base);
        await AreAsync(server, "2 reconciler:0.1.0 default info some", "reconciler:0.1.0 default info some");
    }

    private static async Task IsSettledAsync(ApiServer server, string folder)
    {
        var diff = await server.TryKubectlAsync(server.Kubeconfig, "diff", "-k", folder);
        Assert.Equal((0, ""), (diff.ExitCode, diff.Output));
    }

    /// <summary>Replicas, image, pull policy, log level and resources.</summary>
    private static async Task AreAsync(ApiServer server, string controller, string agent)
    {
        Assert.Equal(controller, await ReadAsync(server, "deployment/reconciler-controller", "{.spec.replicas} "));
        Assert.Equal(agent, await ReadAsync(server, "daemonset/reconciler-agent", ""));
    }

    private static async Task<string> ReadAsync(ApiServer server, string name, string more)
    {
        const string container = "{.spec.template.spec.containers[0].";
        var told = await server.KubectlAsync(
            "get", "-n", InstalledCluster.Namespace, name, "-o", $"jsonpath={more}{container}image}}|{container}imagePullPolicy}}|{container}args}}|{container}resources}}");
        var parts = told.Split('|');
        var policy = parts[1] == "Never" ? "Never" : "default";
        var level = parts[2].Contains("--log-level=debug", StringComparison.Ordinal) ? "debug" : "info";
        return $"{parts[0]} {policy} {level} {(parts[3] is "" or "{}" ? "none" : "some")}";
    }
}
