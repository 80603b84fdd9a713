namespace Reconciler.Containerd.Registries;

/// <summary>A login. Its text form shows no secret.</summary>
internal abstract record RegistryCredentials
{
    private RegistryCredentials()
    {
    }

    public sealed override string ToString() => GetType().Name;

    public sealed record Password(string User, string Secret) : RegistryCredentials;

    /// <summary>Traded for access tokens at the token server.</summary>
    public sealed record IdentityToken(string Token) : RegistryCredentials;

    /// <summary>Sent as it is.</summary>
    public sealed record RegistryToken(string Token) : RegistryCredentials;
}
