using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using k8s;
using k8s.Authentication;

namespace Reconciler.Sources.Kubernetes;

/// <summary>
/// A configuration as it was read once: configuration and tokens by KubernetesClient, chain and name of the server's certificate checked by .NET. Not
/// through the library's own client, whose models of every kind would double the binary.
/// </summary>
internal sealed class ClusterAccess
{
    /// <summary>Pings on an idle stream: a dead link is noticed within the sum of both.</summary>
    private static readonly TimeSpan PingDelay = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan PingTimeout = TimeSpan.FromSeconds(15);

    private static readonly TimeSpan ConnectLimit = TimeSpan.FromSeconds(10);

    private readonly ITokenProvider? _tokens;
    private readonly AuthenticationHeaderValue? _login;
    private readonly string? _serverName;
    private readonly string _trust;

    /// <param name="options">Who we say we are.</param>
    /// <param name="config">Of a kubeconfig or a service account.</param>
    /// <param name="before">Its connections are used on where certificates are the same; null = there is none.</param>
    public ClusterAccess(ClusterOptions options, KubernetesClientConfiguration config, ClusterAccess? before)
    {
        // Whoever answered in the server's place would be root on this node.
        if (config.SkipTlsVerify) throw new ArgumentException("insecure-skip-tls-verify is not followed (give certificate-authority, and tls-server-name where the name differs)");
        Server = new Uri(config.Host.TrimEnd('/') + "/");
        _tokens = config.TokenProvider;
        _serverName = string.IsNullOrEmpty(config.TlsServerName) ? null : config.TlsServerName;
        if (!string.IsNullOrEmpty(config.AccessToken)) _login = new AuthenticationHeaderValue("Bearer", config.AccessToken);
        else if (!string.IsNullOrEmpty(config.Username))
            _login = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{config.Username}:{config.Password}")));
        var client = ClientCertificate(config);
        _trust = string.Join(',', [.. (config.SslCaCerts ?? []).Select(root => root.Thumbprint), client?.Thumbprint ?? ""]);
        if (before is not null && before._trust == _trust)
        {
            Http = before.Http;
            return;
        }
        Http = new HttpClient(HandlerOf(config.SslCaCerts, client)) { Timeout = Timeout.InfiniteTimeSpan }; // every request has its own
        Http.DefaultRequestHeaders.UserAgent.Add(new ProductInfoHeaderValue(options.Program, options.Version));
    }

    public Uri Server { get; }

    /// <summary>May be that of an earlier access.</summary>
    public HttpClient Http { get; }

    public async Task<AuthenticationHeaderValue?> AuthorizeAsync(CancellationToken cancellation) =>
        _tokens is null ? _login : await _tokens.GetAuthenticationHeaderAsync(cancellation);

    public async Task<HttpResponseMessage> SendAsync(Func<Uri, HttpRequestMessage> make, AuthenticationHeaderValue? login, CancellationToken cancellation)
    {
        using var request = make(Server);
        request.Headers.Host = _serverName; // .NET checks the certificate for this name; SslOptions.TargetHost it overwrites
        request.Headers.Authorization = login;
        return await Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation);
    }

    private static SocketsHttpHandler HandlerOf(X509Certificate2Collection? roots, X509Certificate2? client)
    {
        var handler = new SocketsHttpHandler
        {
            KeepAlivePingDelay = PingDelay,
            KeepAlivePingTimeout = PingTimeout,
            KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
            ConnectTimeout = ConnectLimit,
            PooledConnectionLifetime = TimeSpan.FromSeconds(600 + Random.Shared.Next(300)), // not for ever on one of several API servers
            AutomaticDecompression = DecompressionMethods.GZip,
            ConnectCallback = ConnectAsync,
            AllowAutoRedirect = false,
            UseCookies = false,
        };
        if (client is not null) handler.SslOptions.ClientCertificates = [client];
        if (roots is not { Count: > 0 }) return handler;
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        policy.CustomTrustStore.AddRange(roots);
        handler.SslOptions.CertificateChainPolicy = policy;
        return handler;
    }

    private static X509Certificate2? ClientCertificate(KubernetesClientConfiguration config)
    {
        var certificate = Pem(config.ClientCertificateData, config.ClientCertificateFilePath);
        var key = Pem(config.ClientCertificateKeyData, config.ClientKeyFilePath);
        return certificate is null || key is null ? null : X509Certificate2.CreateFromPem(certificate, key);
    }

    private static string? Pem(string? base64, string? file) =>
        !string.IsNullOrEmpty(base64) ? Encoding.UTF8.GetString(Convert.FromBase64String(base64)) : !string.IsNullOrEmpty(file) ? File.ReadAllText(file) : null;

    /// <summary>HTTP/1.1 has no pings: there the kernel's probes notice a dead link in the same time.</summary>
    private static async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancellation)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, (int)PingDelay.TotalSeconds);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, 5);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, 3);
            await socket.ConnectAsync(context.DnsEndPoint, cancellation);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
