namespace Reconciler.Containerd.Registries;

/// <summary>Where a repository is reached.</summary>
/// <param name="Domain">As references have it.</param>
/// <param name="Base">Scheme and authority.</param>
/// <param name="Repository">Its path inside the registry.</param>
internal sealed record RegistryEndpoint(string Domain, Uri Base, string Repository)
{
    /// <param name="reference">Names domain and repository.</param>
    /// <param name="plainHttpHosts">Domains spoken to without TLS.</param>
    public static RegistryEndpoint For(ImageReference reference, IEnumerable<string> plainHttpHosts)
    {
        var host = reference.Domain == "docker.io" ? "registry-1.docker.io" : reference.Domain;
        var plain = plainHttpHosts.Contains(reference.Domain, StringComparer.OrdinalIgnoreCase);
        return new RegistryEndpoint(reference.Domain, new Uri($"{(plain ? "http" : "https")}://{host}/"), reference.Path);
    }

    /// <summary>The domain without its port, as containerd's source labels have it.</summary>
    public string Host => Domain.StartsWith('[') ? Domain[..(Domain.IndexOf(']', StringComparison.Ordinal) + 1)] : Domain.Split(':')[0];

    public Uri Manifest(string tagOrDigest) => new(Base, $"v2/{Repository}/manifests/{tagOrDigest}");

    public Uri Blob(string digest) => new(Base, $"v2/{Repository}/blobs/{digest}");

    public override string ToString() => $"{Domain}/{Repository}";
}
