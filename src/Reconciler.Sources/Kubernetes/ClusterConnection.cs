using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using k8s;
using k8s.Exceptions;
using YamlDotNet.Core;

namespace Reconciler.Sources.Kubernetes;

/// <summary>
/// The way to an API server. Tokens, certificates and trusted CAs change on disk while we run: what a server refuses, or what refuses the server, is
/// read anew.
/// </summary>
internal sealed class ClusterConnection : IDisposable
{
    private readonly ClusterOptions _options;
    private readonly SemaphoreSlim _renewing = new(1, 1);
    private volatile ClusterAccess _access;

    private ClusterConnection(ClusterOptions options)
    {
        _options = options;
        _access = Read(null);
    }

    public Uri Server => _access.Server;

    /// <summary>Of the credentials, for messages.</summary>
    public string Origin => _options.Kubeconfig ?? "the pod's service account";

    /// <exception cref="ClusterConfigException">There is no usable configuration.</exception>
    public static ClusterConnection Open(ClusterOptions options) => new(options);

    /// <summary>
    /// Returns with the head of the answer. After a 401, or where the server is not trusted, the configuration is read anew; if it differs, the request,
    /// which nobody has acted on, is made once more.
    /// </summary>
    /// <param name="make">A new request, given the server's URL.</param>
    /// <param name="cancellation">Ends the waiting for the head.</param>
    public async Task<HttpResponseMessage> SendAsync(Func<Uri, HttpRequestMessage> make, CancellationToken cancellation)
    {
        var access = _access;
        var sent = await access.AuthorizeAsync(cancellation);
        try
        {
            var response = await access.SendAsync(make, sent, cancellation);
            if (response.StatusCode != HttpStatusCode.Unauthorized || !await RenewAsync(access, sent, cancellation)) return response;
            response.Dispose();
        }
        catch (HttpRequestException e) when (e.HttpRequestError == HttpRequestError.SecureConnectionError)
        {
            if (!await RenewAsync(access, sent, cancellation)) throw;
        }
        access = _access;
        return await access.SendAsync(make, await access.AuthorizeAsync(cancellation), cancellation);
    }

    public void Dispose()
    {
        _access.Http.Dispose();
        _renewing.Dispose();
    }

    /// <summary>True = there is something else to try than what was used.</summary>
    private async Task<bool> RenewAsync(ClusterAccess used, AuthenticationHeaderValue? sent, CancellationToken cancellation)
    {
        await _renewing.WaitAsync(cancellation);
        try
        {
            if (_access != used) return true; // another request was faster
            var next = Read(used);
            if (next.Http == used.Http && next.Server == used.Server && Equals(await next.AuthorizeAsync(cancellation), sent)) return false;
            _access = next;
            if (next.Http != used.Http) used.Http.Dispose();
            return true;
        }
        catch (Exception e) when (e is ClusterConfigException or IOException or UnauthorizedAccessException or KubeConfigException)
        {
            return false; // it is being written; the next request reads it again
        }
        finally
        {
            _renewing.Release();
        }
    }

    private ClusterAccess Read(ClusterAccess? before)
    {
        try
        {
            return new ClusterAccess(_options, Configuration(_options), before);
        }
        catch (Exception e) when (e is KubeConfigException or YamlException or IOException or UnauthorizedAccessException or FormatException
                                  or CryptographicException or ArgumentException or InvalidOperationException or NullReferenceException)
        {
            throw new ClusterConfigException($"{Origin} cannot be used: {e.Message}", e);
        }
    }

    private static KubernetesClientConfiguration Configuration(ClusterOptions options)
    {
        if (options.Kubeconfig is not { } path)
        {
            return KubernetesClientConfiguration.IsInCluster()
                ? KubernetesClientConfiguration.InClusterConfig()
                : throw new ClusterConfigException("no kubeconfig is given and this is no pod with a service account (give --kubeconfig FILE)");
        }
        if (!File.Exists(path)) throw new ClusterConfigException($"{path}: there is no such file");
        return Kubeconfig.Read(path);
    }
}
