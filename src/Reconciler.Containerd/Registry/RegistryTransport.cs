using System.Net;
using System.Net.Http.Headers;
using System.Net.Security;
using Microsoft.Extensions.Logging;

namespace Reconciler.Containerd.Registries;

/// <summary>HTTP to registries and token servers: limits, retries and redirects. Knows nothing of what is asked.</summary>
internal sealed partial class RegistryTransport : IDisposable
{
    /// <summary>How often a server that is the only one to ask is asked.</summary>
    public const int MaxAttempts = 5;

    private const int MaxRedirects = 10;
    private static readonly TimeSpan ConnectLimit = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan HeaderLimit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan FirstDelay = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan LongestDelay = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Spread = TimeSpan.FromMilliseconds(500);

    private static readonly string[] ForAnyHost = ["User-Agent", "Accept", "Range"];

    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly HttpMessageInvoker _http;
    private readonly HttpMessageInvoker _own;
    private readonly string? _ownHost;
    private readonly LoadedTls? _tls;

    /// <param name="time">The clock of every wait.</param>
    /// <param name="logger">Hears of failed attempts.</param>
    /// <param name="host">Its TLS settings are used; null = the system's.</param>
    /// <exception cref="PullException">A certificate cannot be read.</exception>
    public RegistryTransport(TimeProvider time, ILogger logger, RegistryHost? host = null)
    {
        (_time, _logger) = (time, logger);
        if (host?.Tls is { } tls) _tls = new LoadedTls(tls);
        _http = new HttpMessageInvoker(Handler(host?.DialTimeout, _tls?.Options(own: false)));
        (_own, _ownHost) = _tls is null ? (_http, null) : (new HttpMessageInvoker(Handler(host!.DialTimeout, _tls.Options(own: true))), host.Root.Host);
    }

    /// <summary>
    /// Sends, follows redirects, and tries again what may work a moment later: lost connections, 408, 429 and 5xx, honouring Retry-After up to 30 s.
    /// Any other answer is returned as it is.
    /// </summary>
    /// <param name="make">Makes a fresh request for each attempt.</param>
    /// <param name="follow">Whether redirects are followed.</param>
    /// <param name="attempts">At least 1.</param>
    /// <param name="what">The purpose, for messages.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <exception cref="PullException">Unreachable, or Failed when the server only answers with errors.</exception>
    public async Task<HttpResponseMessage> SendAsync(Func<HttpRequestMessage> make, bool follow, int attempts, string what, CancellationToken cancellation)
    {
        for (var attempt = 1; ; attempt++)
        {
            TimeSpan? asked = null;
            string why;
            try
            {
                var answer = await SendOnceAsync(make, follow, what, cancellation);
                if (!IsTransient(answer.StatusCode)) return answer;
                using (answer)
                {
                    why = $"{(int)answer.StatusCode} {Shown(answer.ReasonPhrase)}";
                    if (attempt == attempts) throw new PullException(KindOf(answer.StatusCode), $"{what}: the registry answers {why}");
                    asked = RetryAfter(answer.Headers.RetryAfter);
                }
            }
            catch (HttpRequestException e)
            {
                if (attempt == attempts || !IsTransient(e)) throw new PullException(PullErrorKind.Unreachable, $"{what}: {Reason(e)}", e);
                why = e.Message;
            }
            LogRetry(_logger, what, why, attempt);
            await Task.Delay(Delay(attempt, asked), _time, cancellation);
        }
    }

    public void Dispose()
    {
        _http.Dispose();
        _own.Dispose();
        _tls?.Dispose();
    }

    /// <summary>What a server said, fit for a message: without control characters, and not of any length.</summary>
    internal static string Shown(string? text) =>
        new string([.. (text ?? "").Take(300).Select(c => char.IsControl(c) || char.IsSurrogate(c) ? ' ' : c)]);

    /// <summary>How long to wait before attempt + 1, spread so that nodes that were refused together do not come back together.</summary>
    internal static TimeSpan Delay(int attempt, TimeSpan? asked) => Delay(attempt, asked, Random.Shared.NextDouble());

    /// <param name="attempt">From 1.</param>
    /// <param name="asked">What the server asked for: at most 30 s of it count, and up to 0.5 s are added. Null = half to all of 250 ms doubled per attempt, up to 30 s.</param>
    /// <param name="chance">0 to below 1.</param>
    internal static TimeSpan Delay(int attempt, TimeSpan? asked, double chance)
    {
        if (asked is { } wanted) return (wanted < TimeSpan.Zero ? TimeSpan.Zero : wanted > LongestDelay ? LongestDelay : wanted) + (Spread * chance);
        var delay = FirstDelay * Math.Pow(2, attempt - 1);
        return (delay > LongestDelay ? LongestDelay : delay) * (0.5 + (chance / 2));
    }

    private static SocketsHttpHandler Handler(TimeSpan? dial, SslClientAuthenticationOptions? tls)
    {
        var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false, // it would carry Authorization along
            AutomaticDecompression = DecompressionMethods.None, // digests are of what is on the wire
            UseCookies = false,
            Proxy = new RegistryProxy(HttpClient.DefaultProxy),
            ConnectTimeout = dial ?? ConnectLimit,
            PooledConnectionIdleTimeout = TimeSpan.FromSeconds(30),
            PooledConnectionLifetime = TimeSpan.FromMinutes(10),
            MaxResponseHeadersLength = 64,
        };
        if (tls is not null) handler.SslOptions = tls;
        return handler;
    }

    private async Task<HttpResponseMessage> SendOnceAsync(Func<HttpRequestMessage> make, bool follow, string what, CancellationToken cancellation)
    {
        var request = make();
        for (var redirects = 0; ; redirects++)
        {
            HttpResponseMessage answer;
            using (request) answer = await HeadersAsync(request, what, cancellation);
            if (!follow || !IsRedirect(answer.StatusCode) || answer.Headers.Location is not { } location) return answer;
            using (answer)
            {
                if (redirects == MaxRedirects) throw new PullException(PullErrorKind.Invalid, $"{what}: more than {MaxRedirects} redirects");
                if (!Uri.TryCreate(request.RequestUri, location, out var target)) throw new PullException(PullErrorKind.Invalid, $"{what}: a redirect leads to no address");
                request = Redirect(request, target, what);
            }
        }
    }

    private async Task<HttpResponseMessage> HeadersAsync(HttpRequestMessage request, string what, CancellationToken cancellation)
    {
        using var limit = new CancellationTokenSource(HeaderLimit, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellation);
        try
        {
            var http = _ownHost is null || request.RequestUri!.Host.Equals(_ownHost, StringComparison.OrdinalIgnoreCase) ? _own : _http;
            return await http.SendAsync(request, either.Token);
        }
        catch (OperationCanceledException e) when (!cancellation.IsCancellationRequested)
        {
            var why = limit.IsCancellationRequested ? $"no answer within {HeaderLimit.TotalSeconds} s" : "no connection in time";
            throw new PullException(PullErrorKind.Unreachable, $"{what}: {why}", e);
        }
    }

    private static HttpRequestMessage Redirect(HttpRequestMessage from, Uri to, string what)
    {
        var origin = from.RequestUri!;
        if (to.Scheme is not ("http" or "https") || (origin.Scheme == "https" && to.Scheme == "http"))
            throw new PullException(PullErrorKind.Invalid, $"{what}: a redirect from {origin.Scheme} to {to.Scheme} is not followed");
        var request = new HttpRequestMessage(from.Method, to);
        // Logins and configured headers are for the host they were made for: to another one goes only what any server may know.
        var sameOrigin = origin.Scheme == to.Scheme && origin.Port == to.Port && origin.Host.Equals(to.Host, StringComparison.OrdinalIgnoreCase);
        foreach (var (name, values) in from.Headers.NonValidated)
            if (sameOrigin || ForAnyHost.Contains(name, StringComparer.OrdinalIgnoreCase)) request.Headers.TryAddWithoutValidation(name, values);
        return request;
    }

    private TimeSpan? RetryAfter(RetryConditionHeaderValue? header) => header?.Delta ?? (header?.Date is { } date ? date - _time.GetUtcNow() : null);

    private static bool IsRedirect(HttpStatusCode status) => (int)status is 301 or 302 or 303 or 307 or 308;

    private static bool IsTransient(HttpStatusCode status) => (int)status is 408 or 429 or (>= 500 and not (501 or 505));

    private static bool IsTransient(HttpRequestException error) =>
        error.HttpRequestError is not (HttpRequestError.SecureConnectionError or HttpRequestError.UserAuthenticationError or HttpRequestError.InvalidResponse
            or HttpRequestError.ConfigurationLimitExceeded or HttpRequestError.VersionNegotiationError);

    private static PullErrorKind KindOf(HttpStatusCode status) => (int)status is 502 or 503 or 504 ? PullErrorKind.Unreachable : PullErrorKind.Failed;

    private static string Reason(HttpRequestException error) => error.HttpRequestError == HttpRequestError.SecureConnectionError
        ? $"{error.InnerException?.Message ?? error.Message} (a registry that speaks plain http must be named as such)"
        : error.Message;

    [LoggerMessage(Level = LogLevel.Debug, Message = "{What}: {Why}; attempt {Attempt} failed, trying again")]
    private static partial void LogRetry(ILogger logger, string what, string why, int attempt);
}
