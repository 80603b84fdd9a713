using Reconciler.Sources.Kubernetes;
using Reconciler.Testing;
using Reconciler.Testing.Kubernetes;

namespace Reconciler.Agent.Tests.Controller;

[CollectionDefinition(Name)]
public sealed class ControllerCollection : ICollectionFixture<ControllerCluster>
{
    public const string Name = "controller";
}

/// <summary>A real API server with the install of manifests/base; the tests of the controller use it one after the other.</summary>
public sealed class ControllerCluster : IAsyncLifetime
{
    public const string Namespace = "reconciler-system";

    public ApiServer Api { get; private set; } = null!;

    /// <summary>Of the controller's account, with the rights of the install and no others.</summary>
    public string ControllerKubeconfig { get; private set; } = "";

    public async ValueTask InitializeAsync()
    {
        Api = await ApiServer.StartAsync();
        await Api.KubectlAsync("apply", "-k", Path.Combine(Checkout.Root, "manifests/base"));
        ControllerKubeconfig = await Api.KubeconfigForAsync(await Api.TokenForAsync(Namespace, "reconciler-controller"));
        await UntilServedAsync();
    }

    /// <summary>After its definition and after a start of the server a kind answers "storage is (re)initializing" for a while, and rights count a little later than written.</summary>
    public Task UntilServedAsync() => Eventually.UntilAsync(
        async () => (await Api.TryKubectlAsync(ControllerKubeconfig, "get", "nodeworkloads,nodeworkloadsets,nodes", "-A")).ExitCode == 0
            && (await Api.TryKubectlAsync(ControllerKubeconfig, "get", "leases", "-n", Namespace)).ExitCode == 0,
        "our kinds are served");

    public ValueTask DisposeAsync() => Api.DisposeAsync();

    /// <summary>As the admin.</summary>
    public ClusterClient Open(string program) => Open(program, Api.Kubeconfig);

    public ClusterClient OpenController() => Open("reconciler-controller", ControllerKubeconfig);

    private static ClusterClient Open(string program, string kubeconfig) =>
        ClusterClient.Open(new ClusterOptions { Kubeconfig = kubeconfig, Program = program }, TimeProvider.System);
}
