using System.Globalization;
using System.Text;
using Reconciler.Testing.Images;

namespace Reconciler.Containerd.Tests.Registries;

/// <summary>What a registry that means harm, or is broken, may answer. All of it follows from the seed.</summary>
/// <param name="seed">Equal seeds give equal sequences.</param>
/// <param name="outOf">18 of so many answers are hostile.</param>
/// <param name="registry">Serves what is right.</param>
/// <param name="thief">Where redirects lead that must bring no login.</param>
/// <param name="tokens">Where challenges send the login.</param>
internal sealed class Hostility(int seed, int outOf, FakeRegistry registry, FakeRegistry thief, FakeRegistry tokens)
{
    private static readonly string[] Challenges =
    [
        "Bearer realm=\"{t}/token\",service=\"s\"", "Basic realm=\"x\"", "Bearer", "Bearer realm=\"\"", "Bearer realm=\"file:///etc/passwd\"", "Bearer realm=\"http://[\"",
        "Bearer realm=\"{t}/token?a=%00\",scope=\"\\\"\"", "Negotiate, Basic", "Basic realm=\"open, Bearer realm=\"{t}/token\"", ",,,=\"\"", "Bearer realm=\"{t}/token\",scope=\"{long}\"",
        "Bearer realm={t}/token,service={long}", "Digest realm=\"x\", qop=\"auth\"", "\"", "=", "Bearer realm=\"{t}/token\", error=\"invalid_token\"", "Bearer realm=\"{t}/{long}\"",
    ];

    private static readonly string[] Locations =
    [
        "{self}", "/v2/", "http://{thief}{path}", "http://me:secret@{thief}{path}", "file:///etc/passwd", "ftp://{thief}/x", "//{thief}{path}", "//[bad", "http://", "", "?x", "https://{thief}{path}",
        "javascript:1", "http://{thief}/{long}", "\u00ff\u00fe", "http:///x", "gopher:", "../../../../x",
    ];

    private static readonly string[] Bodies =
    [
        "", "{", "null", "[]", "{}", "\"\\ud800\"", "{\"errors\":[{\"code\":\"\\ud800\"}]}", "{\"errors\":{}}", "{\"errors\":[]}", "{\"errors\":[{\"code\":1}]}", "{\"errors\":[{\"code\":\"{long}\",\"message\":\"{long}\"}]}",
        "{deep}", "{\"schemaVersion\":1}", "{\"schemaVersion\":2,\"manifests\":[],\"layers\":[]}", "{\"manifests\":[{\"digest\":5}]}", "{\"token\":5}", "{\"token\":\"a\\r\\nX: y\"}", "{\"token\":\"{long}\"}",
        "{\"token\":\"t\",\"expires_in\":-1e99}", "{\"access_token\":\"\\udc00\"}", "<html>", "\u0000\u0001", "{\"config\":{\"digest\":\"sha256:\",\"size\":\"1\"}}",
    ];

    private readonly Random _random = new(seed);

    /// <summary>One answer; null = the right one.</summary>
    public FakeAnswer? Answer(FakeRequest request)
    {
        lock (_random)
        {
            return _random.Next(outOf) switch
            {
                0 => new FakeAnswer(Pick(100, 204, 206, 300, 304, 400, 401, 402, 403, 404, 405, 408, 410, 416, 418, 429, 500, 501, 502, 503, 511, 599, 999), Body(request))
                    .With("Retry-After", Pick("1", "0", "-1", "x", "99999999999", "Fri, 31 Dec 1999 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 GMT")),
                1 or 2 => new FakeAnswer(401, Body(request)).With("WWW-Authenticate", Fill(Pick(Challenges), request)).With("WWW-Authenticate", Fill(Pick(Challenges), request)),
                3 or 4 => new FakeAnswer(Pick(301, 302, 303, 307, 308), Body(request)).With("Location", Fill(Pick(Locations), request)),
                5 => registry.Serve(request) is var served ? served with { CutAfter = _random.Next(served.Body.Length + 1) } : null,
                6 => Changed(request, (_, headers) => headers.Add(("Content-Length", Pick("0", "1", "-1", "x", "5000000", "9223372036854775807", "99999999999999999999")))),
                7 => Changed(request, (body, _) => Array.ForEach(new int[3], _ => body[_random.Next(body.Length)] ^= (byte)(1 << _random.Next(8)))),
                8 => new FakeAnswer(200, new byte[64 * 1024]) { Endless = true }.With("Content-Type", Type()),
                9 => new FakeAnswer(200) { Raw = Junk() },
                10 => new FakeAnswer(200, Body(request)).With("X-Long", new string('a', Pick(1000, 60_000, 300_000))),
                11 => new FakeAnswer(200, Body(request)).With("Content-Type", Type()),
                12 => Changed(request, (_, headers) => headers.Add(("Docker-Content-Digest", Pick("", "sha256:", "sha256:" + new string('0', 64), "md5:x", new string('s', 5000))))),
                13 => Changed(request, (_, headers) => headers.Add(("Content-Encoding", Pick("gzip", "br", "identity", "x")))),
                14 => Changed(request, (_, headers) => headers.Add(("Transfer-Encoding", Pick("chunked", "gzip", "x, chunked")))),
                15 => new FakeAnswer(206, Body(request)).With("Content-Range", Pick("bytes 0-1/2", "bytes */5", "x", "bytes 5-1/2", "bytes 0-99999999999999999999/1")),
                16 => new FakeAnswer(200) { Raw = [] },
                17 => Changed(request, (_, headers) => headers.RemoveAll(header => header.Name == "Content-Type")),
                _ => null,
            };
        }
    }

    /// <summary>One answer of the token server.</summary>
    public FakeAnswer Token(FakeRequest request)
    {
        lock (_random)
        {
            return _random.Next(6) switch
            {
                0 => new FakeAnswer(Pick(400, 401, 403, 404, 405, 429, 500), Body(request)),
                1 => new FakeAnswer(200, Body(request)),
                2 => new FakeAnswer(302).With("Location", Fill(Pick(Locations), request)),
                3 => new FakeAnswer(200, """{"token":"abc"}""") { CutAfter = 5 },
                4 => new FakeAnswer(200, new byte[64 * 1024]) { Endless = true },
                _ => new FakeAnswer(200, """{"token":"abc","expires_in":300}"""),
            };
        }
    }

    private FakeAnswer Changed(FakeRequest request, Action<byte[], List<(string Name, string Value)>> change)
    {
        var served = registry.Serve(request);
        var (body, headers) = ((byte[])served.Body.Clone(), served.Headers.ToList());
        change(body, headers);
        return served with { Body = body, Headers = headers };
    }

    private string Body(FakeRequest request) => Fill(Pick(Bodies), request);

    private string Type() => Pick(TestImage.OciManifest, TestImage.OciIndex, TestImage.DockerManifest, "application/vnd.docker.distribution.manifest.v1+json", "text/html", "", ";", "\u00ff");

    private byte[] Junk()
    {
        var junk = new byte[_random.Next(1, 2000)];
        _random.NextBytes(junk);
        var start = Pick("", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HTTP/9.9 ", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n", "HTTP/1.1 20");
        return [.. Encoding.Latin1.GetBytes(start), .. junk];
    }

    private string Fill(string text, FakeRequest request) => text
        .Replace("{t}", "http://" + tokens.Host, StringComparison.Ordinal)
        .Replace("{thief}", thief.Host, StringComparison.Ordinal)
        .Replace("{self}", request.Target, StringComparison.Ordinal)
        .Replace("{path}", request.Target, StringComparison.Ordinal)
        .Replace("{deep}", new string('[', 5000), StringComparison.Ordinal)
        .Replace("{long}", new string('l', 20_000), StringComparison.Ordinal);

    private T Pick<T>(params T[] from) => from[_random.Next(from.Length)];

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"seed {seed}");
}
