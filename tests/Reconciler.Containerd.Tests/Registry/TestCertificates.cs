using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Reconciler.Testing;

namespace Reconciler.Containerd.Tests.Registries;

/// <summary>A certificate authority of the test's own, a server certificate for loopback, and a client's; all as PEM files too.</summary>
internal sealed class TestCertificates : IDisposable
{
    private readonly TempFolder _folder = new();
    private readonly X509Certificate2 _ca;
    private readonly X509Certificate2 _server;
    private readonly X509Certificate2 _client;

    public TestCertificates()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=test authority", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        _ca = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        _server = Sign("CN=server", "1.3.6.1.5.5.7.3.1");
        _client = Sign("CN=client", "1.3.6.1.5.5.7.3.2");
        File.WriteAllText(_folder["ca.pem"], _ca.ExportCertificatePem());
        File.WriteAllText(_folder["client.cert"], _client.ExportCertificatePem());
        File.WriteAllText(_folder["client.key"], Key(_client));
        File.WriteAllText(_folder["client.pem"], _client.ExportCertificatePem() + "\n" + Key(_client));
    }

    public string this[string name] => _folder[name];

    public SslServerAuthenticationOptions Server(bool askForClient = false) => new()
    {
        ServerCertificate = _server,
        ClientCertificateRequired = askForClient,
        RemoteCertificateValidationCallback = (_, certificate, _, _) => !askForClient || certificate?.Subject == "CN=client",
    };

    public void Dispose()
    {
        _ca.Dispose();
        _server.Dispose();
        _client.Dispose();
        _folder.Dispose();
    }

    private static string Key(X509Certificate2 certificate)
    {
        using var key = certificate.GetECDsaPrivateKey()!;
        return key.ExportPkcs8PrivateKeyPem();
    }

    private X509Certificate2 Sign(string name, string usage)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(name, key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(usage)], false));
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        using var signed = request.Create(_ca, DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddHours(20), RandomNumberGenerator.GetBytes(8));
        return signed.CopyWithPrivateKey(key);
    }
}
