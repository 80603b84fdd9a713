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

    public RegistryRepository Repository(ImageReference reference)
    {
        var registry = Client.Options.Registry;
        return new RegistryRepository(Transport, RegistryEndpoint.For(reference, registry.PlainHttpHosts), registry.DockerConfigPath, Client.Options.TimeProvider);
    }

    public async ValueTask DisposeAsync()
    {
        await Flights.DisposeAsync();
        Transport.Dispose();
    }
}
