using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text.Json;
using Reconciler.Containerd.Images;

namespace Reconciler.Containerd.Registries;

/// <summary>Reads from one repository of a registry.</summary>
internal sealed class RegistryRepository(RegistryTransport transport, RegistryEndpoint endpoint, string? dockerConfig, TimeProvider time) : IDisposable
{
    private const int MaxLogins = 2; // the first answer to a challenge, and one renewal
    private const int MaxErrorBytes = 64 * 1024;

    /// <summary>The largest manifest or index that is accepted.</summary>
    public const int MaxManifestBytes = 4 * 1024 * 1024;

    private readonly RegistryAuth _auth = new(transport, endpoint, dockerConfig, time);

    public RegistryEndpoint Endpoint => endpoint;

    /// <summary>No other host is asked after this one, so it is worth waiting for.</summary>
    public bool IsLast { get; init; } = true;

    /// <summary>What a tag or digest names now: type, digest and size, by HEAD, or by GET where HEAD does not tell.</summary>
    /// <exception cref="PullException">Any failure.</exception>
    public async Task<Descriptor> ResolveAsync(string tagOrDigest, CancellationToken cancellation)
    {
        using var answer = await SendAsync(HttpMethod.Head, endpoint.Manifest(tagOrDigest), null, cancellation);
        var digest = Header(answer, "Docker-Content-Digest");
        if (answer.IsSuccessStatusCode && answer.Content.Headers.ContentLength is > 0 and { } size && ImageReference.IsDigest(digest) && Type(answer).Length > 0)
        {
            if (size > MaxManifestBytes) throw new PullException(PullErrorKind.Invalid, $"{endpoint}:{tagOrDigest}: the manifest is larger than {MaxManifestBytes / 1024 / 1024} MiB");
            if (ImageReference.IsDigest(tagOrDigest) && digest != tagOrDigest)
                throw new PullException(PullErrorKind.DigestMismatch, $"{endpoint}@{tagOrDigest}: the registry offers {digest}");
            return new Descriptor(Type(answer), digest, size);
        }
        // HEAD has no body to explain an error, and some servers do not know it.
        var (bytes, type) = await ManifestAsync(tagOrDigest, cancellation);
        return new Descriptor(type, ImageReference.IsDigest(tagOrDigest) ? tagOrDigest : "sha256:" + Convert.ToHexStringLower(SHA256.HashData(bytes)), bytes.Length);
    }

    /// <summary>A manifest or index; one asked for by digest is checked against it.</summary>
    /// <exception cref="PullException">Any failure.</exception>
    public async Task<(byte[] Bytes, string MediaType)> ManifestAsync(string tagOrDigest, CancellationToken cancellation)
    {
        var what = $"manifest {endpoint} {tagOrDigest}";
        var bytes = await BodyAsync(endpoint.Manifest(tagOrDigest), what, MaxManifestBytes, cancellation);
        if (ImageReference.IsDigest(tagOrDigest)) Verify(bytes.Bytes, tagOrDigest, what);
        return bytes;
    }

    /// <summary>A small blob, checked against its digest.</summary>
    /// <exception cref="PullException">Any failure.</exception>
    public async Task<byte[]> SmallBlobAsync(string digest, int limit, CancellationToken cancellation)
    {
        var what = $"blob {endpoint} {digest}";
        var (bytes, _) = await BodyAsync(endpoint.Blob(digest), what, limit, cancellation);
        Verify(bytes, digest, what);
        return bytes;
    }

    /// <summary>Begins to fetch a blob.</summary>
    /// <returns>The answer, and the offset its body begins at: the one asked for, or 0 where the registry knows no ranges.</returns>
    /// <exception cref="PullException">Any failure.</exception>
    public async Task<(HttpResponseMessage Answer, long Offset)> OpenBlobAsync(string digest, long offset, CancellationToken cancellation)
    {
        var what = $"blob {endpoint} {digest}";
        var answer = await SendAsync(HttpMethod.Get, endpoint.Blob(digest), offset > 0 ? new RangeHeaderValue(offset, null) : null, cancellation);
        if (answer.StatusCode == HttpStatusCode.OK) return (answer, 0);
        if (answer.StatusCode == HttpStatusCode.PartialContent && answer.Content.Headers.ContentRange?.From == offset) return (answer, offset);
        using (answer)
        {
            if (answer.StatusCode == HttpStatusCode.PartialContent)
                throw new PullException(PullErrorKind.Invalid, $"{what}: asked from byte {offset}, the registry sent {answer.Content.Headers.ContentRange}");
            if (answer.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable)
                throw new PullException(PullErrorKind.DigestMismatch, $"{what}: the registry's copy is shorter than the manifest says");
            throw await ErrorAsync(answer, what, cancellation);
        }
    }

    /// <summary>Whether the host answers at all; logins do not matter.</summary>
    public async Task<bool> IsReachableAsync(CancellationToken cancellation)
    {
        try
        {
            using var answer = await transport.SendAsync(() => Request(HttpMethod.Get, endpoint.Server.Root, null, null), follow: false, Attempts, endpoint.ToString(), cancellation);
            return true;
        }
        catch (PullException)
        {
            return false;
        }
    }

    public void Dispose() => _auth.Dispose();

    private int Attempts => IsLast ? RegistryTransport.MaxAttempts : 1;

    internal static void Verify(ReadOnlySpan<byte> bytes, string digest, string what)
    {
        var actual = digest.StartsWith("sha512:", StringComparison.Ordinal)
            ? "sha512:" + Convert.ToHexStringLower(SHA512.HashData(bytes))
            : "sha256:" + Convert.ToHexStringLower(SHA256.HashData(bytes));
        if (actual != digest) throw new PullException(PullErrorKind.DigestMismatch, $"{what}: the registry sent {actual}");
    }

    private async Task<(byte[] Bytes, string MediaType)> BodyAsync(Uri uri, string what, int limit, CancellationToken cancellation)
    {
        var attempts = Math.Min(Attempts, 3);
        for (var attempt = 1; ; attempt++)
        {
            using var answer = await SendAsync(HttpMethod.Get, uri, null, cancellation);
            if (!answer.IsSuccessStatusCode) throw await ErrorAsync(answer, what, cancellation);
            try
            {
                return (await BodyReader.ReadAllAsync(answer.Content, limit, what, time, cancellation), Type(answer));
            }
            catch (Exception e) when (e is IOException or HttpRequestException)
            {
                if (attempt == attempts) throw new PullException(PullErrorKind.Unreachable, $"{what}: {e.Message}", e);
            }
            await Task.Delay(RegistryTransport.Delay(attempt, null), time, cancellation);
        }
    }

    private async Task<HttpResponseMessage> SendAsync(HttpMethod method, Uri uri, RangeHeaderValue? range, CancellationToken cancellation)
    {
        for (var login = 0; ; login++)
        {
            var header = await _auth.HeaderAsync(cancellation);
            var answer = await transport.SendAsync(() => Request(method, uri, range, header), follow: true, Attempts, endpoint.ToString(), cancellation);
            if (answer.StatusCode != HttpStatusCode.Unauthorized || login == MaxLogins) return answer;
            // The challenge of another host, after a redirect, is not for our login.
            if (answer.RequestMessage?.RequestUri is not { } asked || asked.Authority != uri.Authority) return answer;
            var challenges = answer.Headers.NonValidated.TryGetValues("WWW-Authenticate", out var values) ? values.ToArray() : [];
            try
            {
                if (!await _auth.ChallengeAsync(challenges, header, cancellation)) return answer;
            }
            catch
            {
                answer.Dispose();
                throw;
            }
            answer.Dispose();
        }
    }

    private HttpRequestMessage Request(HttpMethod method, Uri uri, RangeHeaderValue? range, AuthenticationHeaderValue? authorization)
    {
        var request = new HttpRequestMessage(method, uri);
        foreach (var (name, value) in endpoint.Server.Headers) request.Headers.TryAddWithoutValidation(name, value);
        if (!request.Headers.NonValidated.Contains("User-Agent")) request.Headers.TryAddWithoutValidation("User-Agent", "reconciler");
        if (uri.AbsolutePath.Contains("/manifests/", StringComparison.Ordinal)) request.Headers.TryAddWithoutValidation("Accept", MediaTypes.Accepted);
        if (authorization is not null) request.Headers.Authorization = authorization;
        request.Headers.Range = range;
        return request;
    }

    private async Task<PullException> ErrorAsync(HttpResponseMessage answer, string what, CancellationToken cancellation)
    {
        var kind = answer.StatusCode switch
        {
            HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden => PullErrorKind.Unauthorized,
            HttpStatusCode.NotFound => PullErrorKind.NotFound,
            _ => PullErrorKind.Failed,
        };
        var summary = kind switch
        {
            PullErrorKind.Unauthorized => "the registry refuses access",
            PullErrorKind.NotFound => "the registry does not have it",
            _ => "the registry refuses",
        };
        return new PullException(kind, $"{what}: {summary} ({(int)answer.StatusCode} {RegistryTransport.Shown(answer.ReasonPhrase)}){await ExplanationAsync(answer, what, cancellation)}");
    }

    private async Task<string> ExplanationAsync(HttpResponseMessage answer, string what, CancellationToken cancellation)
    {
        try
        {
            using var document = JsonDocument.Parse(await BodyReader.ReadAllAsync(answer.Content, MaxErrorBytes, what, time, cancellation));
            var first = document.RootElement.GetProperty("errors")[0];
            var text = $": {first.GetProperty("code").GetString()} {(first.TryGetProperty("message", out var message) ? message.GetString() : "")}".TrimEnd();
            return RegistryTransport.Shown(text);
        }
        catch (Exception e) when (e is JsonException or PullException or IOException or HttpRequestException or KeyNotFoundException or InvalidOperationException or IndexOutOfRangeException)
        {
            return ""; // it is only an explanation
        }
    }

    private static string Type(HttpResponseMessage answer) =>
        answer.Content.Headers.NonValidated.TryGetValues("Content-Type", out var values) ? values.ToString().Split(';')[0].Trim() : "";

    private static string Header(HttpResponseMessage answer, string name) =>
        answer.Headers.NonValidated.TryGetValues(name, out var values) ? values.ToString().Trim() : "";
}
