using Microsoft.Extensions.Logging.Abstractions;
using Reconciler.Agent.Hosting;
using Reconciler.Agent.Logs;
using Reconciler.Agent.Runtime;
using Reconciler.Containerd;
using Reconciler.Core.Ports;

namespace Reconciler.Agent.Commands;

/// <summary>A look at the node from a command: lists only, so that it never disturbs an agent that runs.</summary>
internal sealed class NodeReading : IAsyncDisposable
{
    private readonly ContainerdRuntime _runtime;

    private NodeReading(ContainerdClient client, ContainerdRuntime runtime) => (Client, _runtime) = (client, runtime);

    public ContainerdClient Client { get; }

    public static async Task<NodeReading> OpenAsync(NodeOptions options, TimeProvider time, CancellationToken cancellation)
    {
        var client = await NodeConnection.ConnectAsync(options, time, cancellation);
        var files = new LogFiles(options.LogDir, time, options.HostRoot);
        return new NodeReading(client, new ContainerdRuntime(client, options, files, time, NullLogger<ContainerdRuntime>.Instance) { Explained = true });
    }

    public Task<NodeObservation> ListAsync(CancellationToken cancellation) => _runtime.ListAsync(cancellation);

    public async ValueTask DisposeAsync()
    {
        await _runtime.DisposeAsync();
        await Client.DisposeAsync();
    }
}
