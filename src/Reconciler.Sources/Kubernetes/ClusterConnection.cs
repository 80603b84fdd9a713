using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using k8s;
using k8s.Authentication;
using k8s.Exceptions;
using YamlDotNet.Core;

namespace Reconciler.Sources.Kubernetes;

/// <summary>
/// How an API server is reached: configuration and tokens by KubernetesClient, chain and name of the server's certificate checked by .NET. Not through
/// the library's own client, whose models of every kind would double the binary.
/// </summary>
internal sealed class ClusterConnection : IDisposable
{
    /// <summary>Pings on an idle stream: a dead link is noticed within the sum of both.</summary>
    private static readonly TimeSpan PingDelay = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan PingTimeout = TimeSpan.FromSeconds(15);

    private static readonly TimeSpan ConnectLimit = TimeSpan.FromSeconds(10);

    private readonly ITokenProvider? _tokens;
    private readonly AuthenticationHeaderValue? _login;
    private readonly string? _serverName;

    private ClusterConnection(ClusterOptions options, KubernetesClientConfiguration config)
    {
        Server = new Uri(config.Host.TrimEnd('/') + "/");
        _tokens = config.TokenProvider;
        _serverName = string.IsNullOrEmpty(config.TlsServerName) ? null : config.TlsServerName;
        if (!string.IsNullOrEmpty(config.AccessToken)) _login = new AuthenticationHeaderValue("Bearer", config.AccessToken);
        else if (!string.IsNullOrEmpty(config.Username))
            _login = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{config.Username}:{config.Password}")));
        Http = new HttpClient(HandlerOf(config)) { Timeout = Timeout.InfiniteTimeSpan }; // every request has its own
        Http.DefaultRequestHeaders.UserAgent.Add(new ProductInfoHeaderValue(options.Program, options.Version));
    }

    public Uri Server { get; }

    public HttpClient Http { get; }

    /// <exception cref="ClusterConfigException">There is no usable configuration.</exception>
    public static ClusterConnection Open(ClusterOptions options)
    {
        try
        {
            return new ClusterConnection(options, Read(options));
        }
        catch (Exception e) when (e is KubeConfigException or YamlException or IOException or UnauthorizedAccessException or FormatException
                                  or CryptographicException or ArgumentException or InvalidOperationException or NullReferenceException)
        {
            throw new ClusterConfigException($"{options.Kubeconfig ?? "the pod's service account"} cannot be used: {e.Message}", e);
        }
    }

    public async Task AuthenticateAsync(HttpRequestMessage request, CancellationToken cancellation)
    {
        request.Headers.Host = _serverName; // .NET checks the certificate for this name; SslOptions.TargetHost it overwrites
        request.Headers.Authorization = _tokens is null ? _login : await _tokens.GetAuthenticationHeaderAsync(cancellation);
    }

    public void Dispose() => Http.Dispose();

    private static SocketsHttpHandler HandlerOf(KubernetesClientConfiguration config)
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
        if (ClientCertificate(config) is { } certificate) handler.SslOptions.ClientCertificates = [certificate];
        // Whoever answered in the server's place would be root on this node.
        if (config.SkipTlsVerify) throw new ArgumentException("insecure-skip-tls-verify is not followed (give certificate-authority, and tls-server-name where the name differs)");
        if (config.SslCaCerts is not { Count: > 0 } roots) return handler;
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

    private static KubernetesClientConfiguration Read(ClusterOptions options)
    {
        if (options.Kubeconfig is not { } path)
        {
            return KubernetesClientConfiguration.IsInCluster()
                ? KubernetesClientConfiguration.InClusterConfig()
                : throw new ClusterConfigException("no kubeconfig is given and this is no pod with a service account (give --kubeconfig FILE)");
        }
        if (!File.Exists(path)) throw new ClusterConfigException($"{path}: there is no such file");
        return KubernetesClientConfiguration.BuildConfigFromConfigFile(kubeconfigPath: path);
    }
}
