using Reconciler.Sources.Tests.Kubernetes;
using Reconciler.Testing.Kubernetes;

[assembly: AssemblyFixture(typeof(SharedApiServer))]

namespace Reconciler.Sources.Tests.Kubernetes;

/// <summary>One API server for all tests that neither stop it nor need it empty; started by the first that asks.</summary>
public sealed class SharedApiServer : IAsyncDisposable
{
    private readonly Lazy<Task<ApiServer>> _server = new(() => ApiServer.StartAsync());

    public Task<ApiServer> GetAsync() => _server.Value;

    public async ValueTask DisposeAsync()
    {
        if (_server.IsValueCreated && _server.Value.IsCompletedSuccessfully) await (await _server.Value).DisposeAsync();
    }
}
