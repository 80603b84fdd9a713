namespace Reconciler.Containerd;

/// <summary>How registries are reached by pulls.</summary>
public sealed record RegistryOptions
{
    /// <summary>Hosts, with their port if they have one, that are spoken to over http. Loopback hosts are no exception.</summary>
    public IReadOnlyList<string> PlainHttpHosts { get; init; } = [];

    /// <summary>A docker config.json with logins; null = $DOCKER_CONFIG/config.json, else ~/.docker/config.json, if it is there.</summary>
    public string? DockerConfigPath { get; init; }

    /// <summary>Layers fetched at the same time per pull; at least 1.</summary>
    public int MaxParallelDownloads { get; init; } = 3;
}
