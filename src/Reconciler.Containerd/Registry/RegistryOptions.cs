namespace Reconciler.Containerd;

/// <summary>How registries are reached by pulls.</summary>
public sealed record RegistryOptions
{
    /// <summary>Hosts, with their port if they have one, that are spoken to over http. Loopback hosts are no exception.</summary>
    public IReadOnlyList<string> PlainHttpHosts { get; init; } = [];

    /// <summary>A docker config.json with logins; null = $DOCKER_CONFIG/config.json, else ~/.docker/config.json, if it is there.</summary>
    public string? DockerConfigPath { get; init; }

    /// <summary>
    /// A folder like containerd's <c>/etc/containerd/certs.d</c> with a hosts.toml per registry: mirrors, certificates, headers. It, and absolute paths in its files,
    /// are seen below <see cref="ContainerdClientOptions.HostRoot"/>. Read by every pull; a file that is not right fails the pull. Null or not there = none.
    /// </summary>
    public string? HostsDirectory { get; init; }

    /// <summary>Layers fetched at the same time per pull; at least 1.</summary>
    public int MaxParallelDownloads { get; init; } = 3;
}
