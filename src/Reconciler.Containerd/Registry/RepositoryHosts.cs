using Microsoft.Extensions.Logging;
using Reconciler.Containerd.Images;

namespace Reconciler.Containerd.Registries;

/// <summary>The hosts that serve one repository, for one pull: what one of them does not give, the next one may.</summary>
internal sealed partial class RepositoryHosts : IDisposable
{
    private readonly Lock _lock = new();
    private readonly List<RegistryRepository> _hosts = [];
    private readonly List<RegistryTransport> _transports = [];
    private readonly HashSet<RegistryRepository> _demoted = [];
    private readonly ILogger _logger;

    /// <param name="servers">In the order in which they are asked; the last one is the registry itself.</param>
    /// <param name="reference">Names domain and repository.</param>
    /// <param name="shared">For hosts without settings of their own.</param>
    /// <param name="dockerConfig">The file with logins; null = the usual one.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">Hears of hosts that fail.</param>
    /// <exception cref="PullException">A certificate cannot be read.</exception>
    public RepositoryHosts(
        IReadOnlyList<RegistryHost> servers, ImageReference reference, RegistryTransport shared, string? dockerConfig, TimeProvider time, ILogger logger)
    {
        _logger = logger;
        try
        {
            foreach (var server in servers)
            {
                var transport = shared;
                if (server.Tls is not null || server.DialTimeout is not null) _transports.Add(transport = new RegistryTransport(time, logger, server));
                _hosts.Add(new RegistryRepository(transport, new RegistryEndpoint(reference.Domain, server, reference.Path), dockerConfig, time)
                {
                    IsLast = _hosts.Count == servers.Count - 1,
                });
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The registry itself.</summary>
    public RegistryEndpoint Origin => _hosts[^1].Endpoint;

    /// <inheritdoc cref="RegistryRepository.ResolveAsync"/>
    public Task<Descriptor> ResolveAsync(string tagOrDigest, CancellationToken cancellation) => FirstAsync(
        ImageReference.IsDigest(tagOrDigest) ? HostCapabilities.Pull : HostCapabilities.Pull | HostCapabilities.Resolve,
        host => host.ResolveAsync(tagOrDigest, cancellation));

    /// <inheritdoc cref="RegistryRepository.ManifestAsync"/>
    public Task<(byte[] Bytes, string MediaType)> ManifestAsync(string digest, CancellationToken cancellation) =>
        FirstAsync(HostCapabilities.Pull, host => host.ManifestAsync(digest, cancellation));

    /// <inheritdoc cref="RegistryRepository.SmallBlobAsync"/>
    public Task<byte[]> SmallBlobAsync(string digest, int limit, CancellationToken cancellation) =>
        FirstAsync(HostCapabilities.Pull, host => host.SmallBlobAsync(digest, limit, cancellation));

    /// <inheritdoc cref="RegistryRepository.OpenBlobAsync"/>
    public Task<(RegistryRepository Host, HttpResponseMessage Answer, long Offset)> OpenBlobAsync(string digest, long offset, CancellationToken cancellation) =>
        FirstAsync(HostCapabilities.Pull, async host =>
        {
            var (answer, from) = await host.OpenBlobAsync(digest, offset, cancellation);
            return (host, answer, from);
        });

    /// <summary>Whether any of them answers at all.</summary>
    public async Task<bool> IsReachableAsync(CancellationToken cancellation)
    {
        foreach (var host in _hosts)
            if (await host.IsReachableAsync(cancellation)) return true;
        return false;
    }

    /// <summary>These gave something broken or wrong: for the rest of the pull they are asked last.</summary>
    /// <returns>True = that is new, and there is another one to ask.</returns>
    public bool Demote(IEnumerable<RegistryRepository> hosts)
    {
        lock (_lock)
        {
            var isNew = false;
            foreach (var host in hosts) isNew |= _demoted.Add(host);
            return isNew && Able(HostCapabilities.Pull).Any(host => !_demoted.Contains(host));
        }
    }

    public void Dispose()
    {
        foreach (var host in _hosts) host.Dispose();
        foreach (var transport in _transports) transport.Dispose();
    }

    private async Task<T> FirstAsync<T>(HostCapabilities needed, Func<RegistryRepository, Task<T>> ask)
    {
        List<RegistryRepository> able;
        lock (_lock) able = [.. Able(needed).OrderBy(_demoted.Contains)];
        if (able.Count == 0)
            throw new PullException(PullErrorKind.Failed, $"{Origin.Domain}/{Origin.Repository}: no host in its hosts.toml has the capabilities {needed.ToString().ToLowerInvariant()}; give them to one");
        var before = new List<string>();
        foreach (var host in able)
        {
            try
            {
                return await ask(host);
            }
            catch (PullException e) when (host != able[^1])
            {
                if (e.Kind == PullErrorKind.Unreachable) Demote([host]);
                LogNext(_logger, e.Message);
                before.Add(e.Message);
            }
            catch (PullException e) when (before.Count > 0)
            {
                throw new PullException(e.Kind, $"{e.Message} (asked before it: {string.Join("; ", before)})", e);
            }
        }
        throw new System.Diagnostics.UnreachableException();
    }

    private IEnumerable<RegistryRepository> Able(HostCapabilities needed) => _hosts.Where(host => (host.Endpoint.Server.Capabilities & needed) == needed);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Why}; the next host is asked")]
    private static partial void LogNext(ILogger logger, string why);
}
