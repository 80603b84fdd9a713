namespace Reconciler.Containerd.Registries;

/// <summary>What a host may be asked for, by the names that hosts.toml has.</summary>
[Flags]
internal enum HostCapabilities
{
    None = 0,

    /// <summary>Content by digest.</summary>
    Pull = 1,

    /// <summary>The digest behind a tag.</summary>
    Resolve = 2,

    Push = 4,

    All = Pull | Resolve | Push,
}

/// <summary>One host that serves registry content, with all that is configured for it.</summary>
/// <param name="Root">Its API root with the closing slash: <c>https://host/v2/</c>.</param>
internal sealed record RegistryHost(Uri Root)
{
    private const string DockerHub = "docker.io";
    private const string DockerHubServer = "registry-1.docker.io";

    public HostCapabilities Capabilities { get; init; } = HostCapabilities.All;

    /// <summary>Sent to this host alone.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Headers { get; init; } = [];

    public HostTls? Tls { get; init; }

    /// <summary>How long a connection may take; null = the usual limit.</summary>
    public TimeSpan? DialTimeout { get; init; }

    /// <summary>The registry of a domain itself.</summary>
    /// <param name="domain">As references have it.</param>
    /// <param name="plainHttpHosts">Domains spoken to without TLS.</param>
    public static RegistryHost Of(string domain, IEnumerable<string> plainHttpHosts)
    {
        var scheme = plainHttpHosts.Contains(domain, StringComparer.OrdinalIgnoreCase) ? "http" : "https";
        return new RegistryHost(new Uri($"{scheme}://{(domain == DockerHub ? DockerHubServer : domain)}/v2/"));
    }

    /// <summary>Whether it is another host than the registry of the domain, and has to be told whose content is meant.</summary>
    public bool IsMirrorOf(string domain) => Authority(domain) != Root.Authority && !(domain == DockerHub && Root.Authority == DockerHubServer);

    /// <summary>The name under which its login is kept.</summary>
    public string LoginDomain(string domain) => Root.Authority == DockerHubServer ? DockerHub : IsMirrorOf(domain) ? Root.Authority : domain;

    private string Authority(string domain) => new Uri($"{Root.Scheme}://{domain}/").Authority;
}
