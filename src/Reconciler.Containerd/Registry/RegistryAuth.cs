using System.Globalization;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;

namespace Reconciler.Containerd.Registries;

/// <summary>What authorises the requests to one repository. Learns from challenges; may be used from several requests at once.</summary>
internal sealed class RegistryAuth(RegistryTransport transport, RegistryEndpoint endpoint, string? dockerConfig, TimeProvider time) : IDisposable
{
    private const int MaxAddress = 8 * 1024;
    private const int MaxTokenBytes = 1024 * 1024;
    private static readonly TimeSpan ShortestLife = TimeSpan.FromSeconds(60);

    private readonly SemaphoreSlim _gate = new(1, 1);
    private RegistryCredentials? _credentials;
    private bool _credentialsRead;
    private AuthChallenge? _challenge;
    private Grant? _grant;

    /// <summary>The header for the next request; null = none is known to be needed.</summary>
    public async Task<AuthenticationHeaderValue?> HeaderAsync(CancellationToken cancellation)
    {
        var grant = _grant;
        if (grant is null || grant.Expires > time.GetUtcNow()) return grant?.Header;
        await _gate.WaitAsync(cancellation);
        try
        {
            if (_grant is { } current && current.Expires <= time.GetUtcNow() && _challenge is { } challenge) _grant = await ObtainAsync(challenge, cancellation);
            return _grant?.Header;
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Answers a 401.</summary>
    /// <param name="headers">Its WWW-Authenticate headers.</param>
    /// <param name="refused">The header the request had.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <returns>True = there is something new to try.</returns>
    /// <exception cref="PullException">No login is known that could answer it, or the token server refused.</exception>
    public async Task<bool> ChallengeAsync(IReadOnlyList<string> headers, AuthenticationHeaderValue? refused, CancellationToken cancellation)
    {
        await _gate.WaitAsync(cancellation);
        try
        {
            if (_grant is { } current && !Equals(current.Header, refused)) return true; // another request was faster
            var challenges = AuthChallenge.Parse(headers);
            var challenge = challenges.FirstOrDefault(item => item.Scheme == "bearer") ?? challenges.FirstOrDefault(item => item.Scheme == "basic");
            if (challenge is null) return false;
            var grant = await ObtainAsync(challenge, cancellation);
            if (Equals(grant.Header, refused)) return false;
            (_challenge, _grant) = (challenge, grant);
            return true;
        }
        finally
        {
            _gate.Release();
        }
    }

    public void Dispose() => _gate.Dispose();

    private async Task<Grant> ObtainAsync(AuthChallenge challenge, CancellationToken cancellation)
    {
        var credentials = await CredentialsAsync(cancellation);
        if (credentials is RegistryCredentials.RegistryToken ready) return new Grant(new AuthenticationHeaderValue("Bearer", ready.Token), DateTimeOffset.MaxValue);
        if (challenge.Scheme == "bearer") return await TokenAsync(challenge, credentials, cancellation);
        return credentials switch
        {
            RegistryCredentials.Password password => new Grant(Basic(password), DateTimeOffset.MaxValue),
            null => throw Refused("it wants a login, and none is configured"),
            _ => throw Refused("it wants user and password, and only a token is configured"),
        };
    }

    private async Task<RegistryCredentials?> CredentialsAsync(CancellationToken cancellation)
    {
        if (_credentialsRead) return _credentials;
        var config = await DockerConfig.LoadAsync(DockerConfig.DefaultPath(dockerConfig), cancellation);
        _credentials = await config.FindAsync(endpoint.Server.LoginDomain(endpoint.Domain), endpoint.Repository, time, cancellation);
        _credentialsRead = true;
        return _credentials;
    }

    private async Task<Grant> TokenAsync(AuthChallenge challenge, RegistryCredentials? credentials, CancellationToken cancellation)
    {
        if (!Uri.TryCreate(challenge["realm"], UriKind.Absolute, out var realm) || realm.Scheme is not ("http" or "https"))
            throw new PullException(PullErrorKind.Invalid, $"{endpoint}: its token server \"{RegistryTransport.Shown(challenge["realm"])}\" is no http address");
        if (credentials is not null && realm.Scheme == "http" && endpoint.Server.Root.Scheme == "https")
            throw Refused($"its token server {realm.GetLeftPart(UriPartial.Authority)} has no TLS; the login is not sent there");
        var service = challenge["service"] ?? "";
        var scope = Scope(challenge["scope"]);
        if (realm.OriginalString.Length + service.Length + scope.Length > MaxAddress)
            throw new PullException(PullErrorKind.Invalid, $"{endpoint}: its challenge is longer than {MaxAddress} characters");
        var asked = time.GetUtcNow();
        if (credentials is not null)
        {
            var form = Form(credentials, service, scope);
            var posted = await AskAsync(() => new HttpRequestMessage(HttpMethod.Post, realm) { Content = new FormUrlEncodedContent(form) }, cancellation);
            using (posted)
            {
                if (posted.IsSuccessStatusCode) return await ReadAsync(posted, asked, cancellation);
                // Older token servers know only GET.
                if ((int)posted.StatusCode is not (400 or 401 or 404 or 405) || credentials is not RegistryCredentials.Password) throw Refused(posted, realm);
            }
        }
        using var answer = await AskAsync(
            () => new HttpRequestMessage(HttpMethod.Get, Query(realm, service, scope))
            {
                Headers = { Authorization = credentials is RegistryCredentials.Password password ? Basic(password) : null },
            },
            cancellation);
        return answer.IsSuccessStatusCode ? await ReadAsync(answer, asked, cancellation) : throw Refused(answer, realm);
    }

    private Task<HttpResponseMessage> AskAsync(Func<HttpRequestMessage> make, CancellationToken cancellation) =>
        transport.SendAsync(make, follow: false, RegistryTransport.MaxAttempts, $"token for {endpoint}", cancellation);

    private async Task<Grant> ReadAsync(HttpResponseMessage answer, DateTimeOffset asked, CancellationToken cancellation)
    {
        var what = $"token for {endpoint}";
        try
        {
            using var document = JsonDocument.Parse(await BodyReader.ReadAllAsync(answer.Content, MaxTokenBytes, what, time, cancellation));
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object) throw new JsonException("not an object");
            var token = Text(root, "token") is { Length: > 0 } plain ? plain : Text(root, "access_token");
            if (token.Length == 0 || token.AsSpan().ContainsAnyExceptInRange('!', '~')) throw new JsonException("no token in it");
            var seconds = root.TryGetProperty("expires_in", out var field) && field.ValueKind == JsonValueKind.Number && field.TryGetDouble(out var value)
                ? Math.Clamp(value, ShortestLife.TotalSeconds, TimeSpan.FromDays(1).TotalSeconds)
                : ShortestLife.TotalSeconds;
            return new Grant(new AuthenticationHeaderValue("Bearer", token), asked + TimeSpan.FromSeconds(seconds * 0.9));
        }
        catch (Exception e) when (e is JsonException or IOException or InvalidOperationException)
        {
            throw new PullException(PullErrorKind.Failed, $"{what}: the token server's answer is unusable: {e.Message}", e);
        }
    }

    private string Scope(string? challenged)
    {
        var scopes = (challenged ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries).ToList();
        var own = $"repository:{endpoint.Repository}:pull";
        if (!scopes.Any(scope => scope.StartsWith($"repository:{endpoint.Repository}:", StringComparison.Ordinal) && scope.Split(':')[^1].Split(',').Contains("pull"))) scopes.Add(own);
        return string.Join(' ', scopes);
    }

    private static List<KeyValuePair<string, string>> Form(RegistryCredentials credentials, string service, string scope)
    {
        List<KeyValuePair<string, string>> form = [new("service", service), new("scope", scope), new("client_id", "reconciler")];
        if (credentials is RegistryCredentials.Password password)
            form.AddRange([new("grant_type", "password"), new("username", password.User), new("password", password.Secret)]);
        else if (credentials is RegistryCredentials.IdentityToken identity)
            form.AddRange([new("grant_type", "refresh_token"), new("refresh_token", identity.Token)]);
        return form;
    }

    private static Uri Query(Uri realm, string service, string scope)
    {
        var query = new StringBuilder(realm.Query);
        if (service.Length > 0) Append("service", service);
        foreach (var part in scope.Split(' ')) Append("scope", part);
        return new UriBuilder(realm) { Query = query.ToString() }.Uri;

        void Append(string key, string value) =>
            query.Append(CultureInfo.InvariantCulture, $"{(query.Length == 0 ? "?" : "&")}{key}={Uri.EscapeDataString(value)}");
    }

    private static AuthenticationHeaderValue Basic(RegistryCredentials.Password password) =>
        new("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{password.User}:{password.Secret}")));

    private PullException Refused(HttpResponseMessage answer, Uri realm) => (int)answer.StatusCode is 400 or 401 or 403
        ? Refused($"its token server {realm.Host} refuses the login ({(int)answer.StatusCode})")
        : new PullException(PullErrorKind.Failed, $"token for {endpoint}: the token server {realm.Host} answers {(int)answer.StatusCode} {RegistryTransport.Shown(answer.ReasonPhrase)}");

    private PullException Refused(string why) => new(PullErrorKind.Unauthorized, $"{endpoint}: {why}");

    private static string Text(JsonElement item, string name) =>
        item.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString()! : "";

    private sealed record Grant(AuthenticationHeaderValue Header, DateTimeOffset Expires);
}
