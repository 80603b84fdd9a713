using Reconciler.Sources.Tests.Kubernetes;
using Reconciler.Testing;
using Reconciler.Testing.Kubernetes;

[assembly: AssemblyFixture(typeof(SharedApiServer))]

namespace Reconciler.Sources.Tests.Kubernetes;

/// <summary>One API server for all tests that neither stop it nor need it empty; started by the first that asks.</summary>
public sealed class SharedApiServer : IAsyncDisposable
{
    private readonly Lazy<Task<ApiServer>> _server = new(() => ApiServer.StartAsync());
    private readonly Lazy<Task<ApiServer>> _withCrds;

    public SharedApiServer() => _withCrds = new(InstallAsync);

    public Task<ApiServer> GetAsync() => _server.Value;

    /// <summary>The same server with the repository's CustomResourceDefinitions.</summary>
    public Task<ApiServer> WithCrdsAsync() => _withCrds.Value;

    public async ValueTask DisposeAsync()
    {
        if (_server.IsValueCreated && _server.Value.IsCompletedSuccessfully) await (await _server.Value).DisposeAsync();
    }

    private async Task<ApiServer> InstallAsync()
    {
        var server = await GetAsync();
        await server.KubectlAsync("apply", "-k", Crd.Folder);
        await server.KubectlAsync("wait", "--for", "condition=Established", "--timeout", "90s", "crd", "nodeworkloads.reconciler.dev", "nodeworkloadsets.reconciler.dev");
        await Crd.UntilServedAsync(server);
        return server;
    }
}
