using System.Diagnostics;

namespace Reconciler.Sources.Kubernetes;

/// <summary>
/// A span for a request that belongs to a span of its caller; the lists, watches and Leases that go on all the time are none. Attributes are those of
/// OpenTelemetry's conventions for HTTP. What the server says about an error may quote an object, and stays out.
/// </summary>
internal static class RequestSpan
{
    private static readonly ActivitySource Source = new(ClusterClient.ActivitySourceName);

    /// <param name="path">With its query, without a leading slash.</param>
    public static Activity? Begin(HttpMethod method, string path, Uri server)
    {
        if (Activity.Current is null || !Source.HasListeners()) return null;
        var plain = path.Split('?')[0];
        return Source.StartActivity($"{method.Method} {ResourceIn(plain)}", ActivityKind.Client)?
            .SetTag("http.request.method", method.Method).SetTag("server.address", server.Host).SetTag("url.path", "/" + plain);
    }

    public static void Fail(Activity? span, ClusterException failure)
    {
        if (failure.Status > 0) span?.SetTag("http.response.status_code", failure.Status);
        span?.SetStatus(ActivityStatusCode.Error, failure.Reason);
    }

    /// <summary>nodeworkloads of apis/GROUP/VERSION/namespaces/NAMESPACE/nodeworkloads/NAME.</summary>
    private static string ResourceIn(string path)
    {
        var parts = path.Split('/');
        var at = parts[0] == "api" ? 2 : 3;
        if (parts.Length > at + 2 && parts[at] == "namespaces") at += 2;
        return parts.ElementAtOrDefault(at) ?? "";
    }
}
