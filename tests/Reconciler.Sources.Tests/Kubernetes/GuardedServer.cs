using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Reconciler.Testing;
using Reconciler.Testing.Kubernetes;

namespace Reconciler.Sources.Tests.Kubernetes;

/// <summary>An HTTPS server on loopback whose certificate and accepted token a test changes; each request has a connection of its own and is answered {}.</summary>
internal sealed class GuardedServer : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _accepting;
    private volatile X509Certificate2? _certificate;

    public GuardedServer()
    {
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    /// <summary>Any other is answered 401.</summary>
    public string Token { get; set; } = "";

    /// <summary>Shows a new certificate from the next connection on.</summary>
    public void Present(CertificateAuthority authority)
    {
        var (certificate, key) = authority.Issue("CN=server", "localhost", "127.0.0.1");
        using var pem = X509Certificate2.CreateFromPem(certificate, key);
        _certificate = X509CertificateLoader.LoadPkcs12(pem.Export(X509ContentType.Pkcs12), null);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Dispose();
        await _accepting.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _certificate?.Dispose();
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (true)
        {
            using var client = await _listener.AcceptTcpClientAsync(_stop.Token);
            try
            {
                await AnswerAsync(client.GetStream());
            }
            catch (Exception e) when (e is IOException or System.Security.Authentication.AuthenticationException)
            {
                // The client does not trust us.
            }
        }
    }

    private async Task AnswerAsync(NetworkStream stream)
    {
        await using var tls = new SslStream(stream);
        await tls.AuthenticateAsServerAsync(new SslServerAuthenticationOptions { ServerCertificate = _certificate }, _stop.Token);
        var reader = new StreamReader(tls, Encoding.ASCII);
        var accepted = false;
        while (await reader.ReadLineAsync(_stop.Token) is { Length: > 0 } line) accepted |= line == $"Authorization: Bearer {Token}";
        var body = accepted ? "{}" : """{"kind":"Status","code":401,"message":"Unauthorized"}""";
        var head = $"HTTP/1.1 {(accepted ? "200 OK" : "401 Unauthorized")}\r\nContent-Type: application/json\r\nContent-Length: {body.Length}\r\nConnection: close\r\n\r\n";
        await tls.WriteAsync(Encoding.ASCII.GetBytes(head + body), _stop.Token);
    }
}
