using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Reconciler.Containerd.Registries;

namespace Reconciler.Containerd.Images;

/// <summary>What the pulls of one client share.</summary>
internal sealed class PullShared : IAsyncDisposable
{
    public PullShared(ContainerdClient client)
    {
        Client = client;
        Logger = client.Options.Logger ?? NullLogger.Instance;
        Transport = new RegistryTransport(client.Options.TimeProvider, Logger);
        Flights = new PullFlights(client.Options.TimeProvider, Logger);
    }

    public ContainerdClient Client { get; }

    public ILogger Logger { get; }

    public RegistryTransport Transport { get; }

    public PullFlights Flights { get; }

    /// <summary>By digest: two ingests of one blob from one process would only contend for the store's lock.</summary>
    public KeyedGate Blobs { get; } = new();

    /// <summary>By chain id.</summary>
    public KeyedGate Chains { get; } = new();

    /// <summary>Where the repository is found now: what configures it is read anew.</summary>
    /// <exception cref="PullException">The configuration is not right.</exception>
    public async Task<RepositoryHosts> HostsAsync(ImageReference reference, CancellationToken cancellation)
    {
        var registry = Client.Options.Registry;
        IReadOnlyList<RegistryHost> servers = [RegistryHost.Of(reference.Domain, registry.PlainHttpHosts)];
        if (registry.HostsDirectory is { Length: > 0 } folder)
            servers = await new HostsDirectory(folder, Client.Options.HostRoot).FindAsync(reference.Domain, servers[0], cancellation);
        return new RepositoryHosts(servers, reference, Transport, registry.DockerConfigPath, Client.Options.TimeProvider, Logger);
    }

    public async ValueTask DisposeAsync()
    {
        await Flights.DisposeAsync();
        Transport.Dispose();
    }
}
