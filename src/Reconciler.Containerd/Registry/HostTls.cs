using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Reconciler.Containerd.Registries;

/// <summary>A file that hosts.toml names.</summary>
/// <param name="Path">Where it is.</param>
/// <param name="Source">File, line and key that name it, for messages.</param>
internal sealed record NamedFile(string Path, string Source);

/// <summary>The TLS settings of one host. CA files add to the system's, and hold for redirects too; the rest is for the host alone.</summary>
internal sealed record HostTls
{
    public IReadOnlyList<NamedFile> Ca { get; init; } = [];

    /// <summary>Certificate and key; no key = it is in the certificate's file.</summary>
    public IReadOnlyList<(NamedFile Certificate, NamedFile? Key)> Client { get; init; } = [];

    public bool SkipVerify { get; init; }
}

/// <summary>The certificates of a <see cref="HostTls"/>, read.</summary>
internal sealed class LoadedTls : IDisposable
{
    private const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";

    private readonly X509Certificate2Collection _ca = [];
    private readonly X509Certificate2Collection _client = [];
    private readonly X509Certificate2Collection _clientChain = [];
    private readonly bool _skipVerify;

    /// <exception cref="PullException">A file cannot be read, or is not PEM.</exception>
    public LoadedTls(HostTls tls)
    {
        _skipVerify = tls.SkipVerify;
        try
        {
            foreach (var file in tls.Ca) Load(file, () => Import(_ca, file.Path));
            foreach (var (certificate, key) in tls.Client)
            {
                Load(key ?? certificate, () => _client.Add(X509Certificate2.CreateFromPemFile(certificate.Path, key?.Path ?? certificate.Path)));
                Load(certificate, () => Import(_clientChain, certificate.Path));
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <param name="own">True = for the host itself; false = for those it redirects to.</param>
    public SslClientAuthenticationOptions Options(bool own)
    {
        var options = new SslClientAuthenticationOptions();
#pragma warning disable CA5359 // skip_verify says so
        if (own && _skipVerify) options.RemoteCertificateValidationCallback = (_, _, _, _) => true;
#pragma warning restore CA5359
        else if (_ca.Count > 0) options.RemoteCertificateValidationCallback = IsTrusted;
        if (own && _client.Count == 1) options.ClientCertificateContext = SslStreamCertificateContext.Create(_client[0], _clientChain, offline: true);
        else if (own && _client.Count > 1) options.ClientCertificates = _client;
        return options;
    }

    public void Dispose()
    {
        foreach (var certificate in _ca.Concat(_client).Concat(_clientChain)) certificate.Dispose();
    }

    private bool IsTrusted(object sender, X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors)
    {
        if (errors == SslPolicyErrors.None) return true;
        if (errors != SslPolicyErrors.RemoteCertificateChainErrors || certificate is not X509Certificate2 leaf) return false;
        using var own = new X509Chain { ChainPolicy = { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck } };
        own.ChainPolicy.ApplicationPolicy.Add(new Oid(ServerAuthentication));
        own.ChainPolicy.CustomTrustStore.AddRange(_ca);
        if (chain is not null) own.ChainPolicy.ExtraStore.AddRange(chain.ChainPolicy.ExtraStore);
        return own.Build(leaf);
    }

    private static void Import(X509Certificate2Collection into, string path)
    {
        var before = into.Count;
        into.ImportFromPemFile(path);
        if (into.Count == before) throw new CryptographicException("no certificate is in it");
    }

    private static void Load(NamedFile file, Action load)
    {
        try
        {
            load();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException or ArgumentException)
        {
            throw new PullException(PullErrorKind.Failed, $"{file.Source}: {file.Path}: {e.Message}; right is: a readable PEM file", e);
        }
    }
}
