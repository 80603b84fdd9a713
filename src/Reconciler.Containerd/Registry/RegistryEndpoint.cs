namespace Reconciler.Containerd.Registries;

/// <summary>Where a repository is reached.</summary>
/// <param name="Domain">As references have it.</param>
/// <param name="Server">The host that is asked: the domain's own, or a mirror.</param>
/// <param name="Repository">Its path inside the registry.</param>
internal sealed record RegistryEndpoint(string Domain, RegistryHost Server, string Repository)
{
    /// <summary>The domain without its port, as containerd's source labels have it.</summary>
    public string Host => Domain.StartsWith('[') ? Domain[..(Domain.IndexOf(']', StringComparison.Ordinal) + 1)] : Domain.Split(':')[0];

    public Uri Manifest(string tagOrDigest) => At($"manifests/{tagOrDigest}");

    public Uri Blob(string digest) => At($"blobs/{digest}");

    /// <summary>The repository, and where it is asked for if that is a mirror.</summary>
    public override string ToString() => Server.IsMirrorOf(Domain) ? $"{Domain}/{Repository} at {Server.Root.Authority}" : $"{Domain}/{Repository}";

    /// <summary>A mirror serves many registries and is told which one is meant.</summary>
    private Uri At(string what) => new(Server.Root, $"{Repository}/{what}{(Server.IsMirrorOf(Domain) ? "?ns=" + Uri.EscapeDataString(Domain) : "")}");
}
