namespace Reconciler.Containerd.Registries;

/// <summary>A folder like <c>/etc/containerd/certs.d</c>: per registry a folder with hosts.toml, or with the certificate files that Docker has. Read anew by every pull.</summary>
/// <param name="path">The folder as its owner names it; one that is not there configures nothing.</param>
/// <param name="hostRoot">Where the owner's root is seen from here; absolute paths in the files are below it too.</param>
internal sealed class HostsDirectory(string path, string hostRoot)
{
    private const int MaxBytes = 1024 * 1024;

    /// <summary>The hosts that serve a domain, in the order in which they are asked; the last one is the domain's own server.</summary>
    /// <param name="domain">As references have it.</param>
    /// <param name="server">The domain's own server where no file names one.</param>
    /// <param name="cancellation">Ends the reading.</param>
    /// <exception cref="PullException">A file cannot be read or understood; the message has file, line, key and what is right.</exception>
    public async Task<IReadOnlyList<RegistryHost>> FindAsync(string domain, RegistryHost server, CancellationToken cancellation)
    {
        if (Folder(domain) is not { } folder) return [server];
        var file = Path.Combine(folder, "hosts.toml");
        try
        {
            if (!File.Exists(file) || new FileInfo(file).Length == 0) return [server with { Tls = DockerFiles(folder) }];
            if (new FileInfo(file).Length > MaxBytes) throw new IOException("it is larger than 1 MiB");
            return new HostsFile(file, named => Seen(folder, named)).Read(await File.ReadAllTextAsync(file, cancellation), server);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PullException(PullErrorKind.Failed, $"{file} cannot be read: {e.Message}", e);
        }
    }

    private string? Folder(string domain)
    {
        var root = Seen("/", path);
        var colon = domain.LastIndexOf(':');
        string[] names = colon > 0 && !domain.EndsWith(']')
            ? [$"{domain[..colon]}_{domain[(colon + 1)..]}_", domain, "_default"]
            : [domain, "_default"];
        return names.Select(name => Path.Combine(root, name)).FirstOrDefault(Directory.Exists);
    }

    private string Seen(string folder, string named) => Path.IsPathRooted(named) ? Path.Join(hostRoot, named) : Path.Combine(folder, named);

    /// <summary>*.crt are CAs, *.cert with *.key of the same name are client certificates.</summary>
    private static HostTls? DockerFiles(string folder)
    {
        var files = Directory.GetFiles(folder).Order(StringComparer.Ordinal).ToList();
        var tls = new HostTls
        {
            Ca = [.. files.Where(file => file.EndsWith(".crt", StringComparison.Ordinal)).Select(Named)],
            Client = [.. files.Where(file => file.EndsWith(".cert", StringComparison.Ordinal)).Select(file =>
                (Named(file), Path.ChangeExtension(file, ".key") is var key && files.Contains(key) ? Named(key) : null))],
        };
        return tls.Ca.Count + tls.Client.Count == 0 ? null : tls;
    }

    private static NamedFile Named(string file) => new(file, "registry certificates");
}
