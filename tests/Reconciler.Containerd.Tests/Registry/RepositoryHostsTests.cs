using System.Net.Security;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Reconciler.Containerd.Registries;
using Reconciler.Testing;
using Reconciler.Testing.Images;

namespace Reconciler.Containerd.Tests.Registries;

/// <summary>What one host does not give, the next one does; and each gets only what is meant for it.</summary>
public sealed class RepositoryHostsTests : IAsyncDisposable
{
    private readonly FakeRegistry _mirror = new();
    private readonly FakeRegistry _origin = new();
    private readonly RegistryTransport _transport = new(TimeProvider.System, NullLogger.Instance);
    private readonly TempFolder _folder = new();
    private readonly TestCertificates _certificates = new();
    private readonly TestImage _image = TestImage.Create([new Archive().File("f", "text").ToArray()]);

    public RepositoryHostsTests()
    {
        _mirror.Add(_image);
        _origin.Add(_image);
    }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private string Manifest => _image.Manifest.Digest;

    [Fact]
    public async Task A_mirror_serves_all_and_is_told_for_whom()
    {
        using var hosts = Hosts(Host(_mirror), Host(_origin));

        Assert.Equal(Manifest, (await hosts.ResolveAsync("1", Stop)).Digest);
        Assert.Equal(_image.Manifest.Bytes, (await hosts.ManifestAsync(Manifest, Stop)).Bytes);
        Assert.Equal(_image.Config.Bytes, await hosts.SmallBlobAsync(_image.Config.Digest, 1000, Stop));
        (await hosts.OpenBlobAsync(_image.Layers[0].Digest, 0, Stop)).Answer.Dispose();

        Assert.Empty(_origin.Requests);
        Assert.Equal(4, _mirror.Requests.Count);
        Assert.All(_mirror.Requests, request => Assert.EndsWith("?ns=" + Uri.EscapeDataString(_origin.Host), request.Target, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(404, 2)]
    [InlineData(500, 2)]
    [InlineData(503, 1)] // it is not there at the moment
    [InlineData(429, 2)]
    [InlineData(401, 2)]
    [InlineData(302, 2)]
    [InlineData(0, 2)] // answers with something else
    public async Task What_a_mirror_does_not_give_the_registry_does(int status, int asked)
    {
        _mirror.Intercept = _ => status == 0 ? new FakeAnswer(200, "else").With("Docker-Content-Digest", "x") : new FakeAnswer(status).With("Retry-After", "10000");
        using var hosts = Hosts(Host(_mirror), Host(_origin));

        Assert.Equal(_image.Manifest.Bytes, (await hosts.ManifestAsync(Manifest, Stop)).Bytes);
        Assert.Equal(_image.Config.Bytes, await hosts.SmallBlobAsync(_image.Config.Digest, 1000, Stop));

        Assert.Equal(asked, _mirror.Requests.Count);
        Assert.Equal(2, _origin.Requests.Count);
        Assert.All(_origin.Requests, request => Assert.DoesNotContain("ns=", request.Target, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_mirror_that_does_not_answer_is_asked_last_from_then_on()
    {
        using var dead = new DeadPort();
        var silent = new FakeRegistry { Intercept = _ => new FakeAnswer(503) };
        await using var closing = silent;
        using var hosts = Hosts(new RegistryHost(new Uri($"http://{dead.Host}/v2/")), Host(silent), Host(_origin));

        await hosts.ManifestAsync(Manifest, Stop);
        await hosts.ManifestAsync(Manifest, Stop);

        Assert.Single(silent.Requests);
        Assert.Equal(2, _origin.Requests.Count);
    }

    [Fact]
    public async Task The_last_hosts_error_counts_and_the_others_are_named()
    {
        _mirror.Intercept = _ => new FakeAnswer(403);
        _origin.Intercept = _ => new FakeAnswer(404);
        using var hosts = Hosts(Host(_mirror), Host(_origin));

        var error = await Assert.ThrowsAsync<PullException>(() => hosts.ManifestAsync(Manifest, Stop));

        Assert.Equal(PullErrorKind.NotFound, error.Kind);
        Assert.Contains($"at {_mirror.Host}", error.Message, StringComparison.Ordinal);
        Assert.Contains("403", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Tags_are_resolved_only_where_they_may_be()
    {
        using var hosts = Hosts(Host(_mirror) with { Capabilities = HostCapabilities.Pull }, Host(_origin));

        await hosts.ResolveAsync("1", Stop);
        Assert.Empty(_mirror.Requests);
        await hosts.ResolveAsync(Manifest, Stop);
        Assert.Single(_mirror.Requests);
    }

    [Fact]
    public async Task No_host_with_a_capability_is_an_error()
    {
        using var hosts = Hosts(Host(_origin) with { Capabilities = HostCapabilities.Pull });

        Assert.Contains("pull, resolve", (await Assert.ThrowsAsync<PullException>(() => hosts.ResolveAsync("1", Stop))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Logins_and_headers_go_to_their_host_alone()
    {
        await using var storage = new FakeRegistry();
        storage.Add(_image);
        string basic = "Basic " + Base64("me:mirror"), own = "Basic " + Base64("me:origin");
        _mirror.Intercept = request => request["Authorization"] != basic ? new FakeAnswer(401).With("WWW-Authenticate", "Basic realm=\"x\"")
            : new FakeAnswer(307).With("Location", $"http://{storage.Host}{request.Path}");
        storage.Intercept = request => request.Path.EndsWith(Manifest, StringComparison.Ordinal) ? null : new FakeAnswer(404);
        _origin.Intercept = request => request["Authorization"] == own ? null : new FakeAnswer(401).With("WWW-Authenticate", "Basic realm=\"x\"");
        using var hosts = Hosts(Host(_mirror) with { Headers = [new("X-Mirror", "1"), new("User-Agent", "special")] }, Host(_origin) with { Headers = [new("X-Origin", "2")] });

        await hosts.ManifestAsync(Manifest, Stop);
        await hosts.SmallBlobAsync(_image.Config.Digest, 1000, Stop);

        Assert.All(_mirror.Requests, request => Assert.Equal(("1", null, "special"), (request["X-Mirror"], request["X-Origin"], request["User-Agent"])));
        Assert.All(_origin.Requests, request => Assert.Equal((null, "2", "reconciler"), (request["X-Mirror"], request["X-Origin"], request["User-Agent"])));
        Assert.Equal(2, storage.Requests.Count);
        Assert.All(storage.Requests, request => Assert.Equal((null, null, null), (request["X-Mirror"], request["X-Origin"], request["Authorization"])));
        Assert.DoesNotContain(_mirror.Requests, request => request["Authorization"] == own);
        Assert.DoesNotContain(_origin.Requests, request => request["Authorization"] == basic);
    }

    [Fact]
    public async Task A_header_may_be_the_login()
    {
        _origin.Intercept = request => request["Authorization"] == "Bearer given" ? null : new FakeAnswer(401).With("WWW-Authenticate", "Basic realm=\"x\"");
        using var hosts = Hosts(Host(_origin) with { Headers = [new("Authorization", "Bearer given")] });

        Assert.Equal(Manifest, (await hosts.ResolveAsync("1", Stop)).Digest);
    }

    [Theory]
    [InlineData("none", false)]
    [InlineData("ca", true)]
    [InlineData("skip", true)]
    public async Task A_certificate_of_ones_own_authority_is_trusted_where_it_is_configured(string settings, bool trusted)
    {
        await using var secure = new FakeRegistry(_certificates.Server());
        secure.Add(_image);
        var tls = settings switch
        {
            "ca" => new HostTls { Ca = [Named("ca.pem")] },
            "skip" => new HostTls { SkipVerify = true },
            _ => null,
        };
        using var hosts = Hosts(Secure(secure) with { Tls = tls }, Host(_origin));

        await hosts.ManifestAsync(Manifest, Stop);

        Assert.Equal(trusted ? (1, 0) : (0, 1), (secure.Requests.Count, _origin.Requests.Count));
    }

    [Theory]
    [InlineData("client.pem", null)]
    [InlineData("client.cert", "client.key")]
    [InlineData("client.cert", "client.key", "client.pem")]
    public async Task A_client_certificate_is_shown(string certificate, string? key, string? more = null)
    {
        await using var secure = new FakeRegistry(_certificates.Server(askForClient: true));
        secure.Add(_image);
        var client = new List<(NamedFile, NamedFile?)> { (Named(certificate), key is null ? null : Named(key)) };
        if (more is not null) client.Add((Named(more), null));
        using var hosts = Hosts(Secure(secure) with { Tls = new HostTls { Ca = [Named("ca.pem")], Client = client } });
        using var without = Hosts(Secure(secure) with { Tls = new HostTls { Ca = [Named("ca.pem")] } }, Host(_origin));

        await hosts.ManifestAsync(Manifest, Stop);
        await without.ManifestAsync(Manifest, Stop);

        Assert.Single(secure.Requests);
        Assert.Single(_origin.Requests);
    }

    [Theory]
    [InlineData("none.pem", null)]
    [InlineData("client.key", null)] // no certificate in it
    [InlineData(null, "client.cert")] // no key in it
    public void A_certificate_that_cannot_be_read_is_named(string? ca, string? client)
    {
        var tls = new HostTls { Ca = ca is null ? [] : [Named(ca)], Client = client is null ? [] : [(Named(client), null)] };

        var error = Assert.Throws<PullException>(() => Hosts(Host(_origin) with { Tls = tls }));

        Assert.StartsWith("/d/hosts.toml:3: ca: " + _certificates[ca ?? client!], error.Message, StringComparison.Ordinal);
        Assert.Contains("PEM", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task From_https_to_http_no_redirect_is_followed()
    {
        await using var secure = new FakeRegistry(_certificates.Server());
        secure.Intercept = request => new FakeAnswer(307).With("Location", $"http://{_origin.Host}{request.Path}");
        using var hosts = Hosts(Secure(secure) with { Tls = new HostTls { SkipVerify = true } });

        var error = await Assert.ThrowsAsync<PullException>(() => hosts.ManifestAsync(Manifest, Stop));

        Assert.Equal(PullErrorKind.Invalid, error.Kind);
        Assert.Empty(_origin.Requests);
    }

    public async ValueTask DisposeAsync()
    {
        _transport.Dispose();
        _folder.Dispose();
        _certificates.Dispose();
        await _mirror.DisposeAsync();
        await _origin.DisposeAsync();
    }

    private static RegistryHost Host(FakeRegistry registry) => new(new Uri($"http://{registry.Host}/v2/"));

    private static RegistryHost Secure(FakeRegistry registry) => new(new Uri($"https://{registry.Host}/v2/"));

    private static string Base64(string text) => Convert.ToBase64String(Encoding.UTF8.GetBytes(text));

    private NamedFile Named(string name) => new(_certificates[name], "/d/hosts.toml:3: ca");

    private RepositoryHosts Hosts(params RegistryHost[] hosts)
    {
        var logins = string.Join(',', new[] { (_mirror, "me:mirror"), (_origin, "me:origin") }
            .Select(pair => $$"""
                "{{pair.Item1.Host}}":{"auth":"{{Base64(pair.Item2)}}"}
                """));
        File.WriteAllText(_folder["config.json"], "{\"auths\":{" + logins + "}}");
        return new RepositoryHosts(hosts, ImageReference.Parse(_origin.Host + "/a/b:1"), _transport, _folder["config.json"], TimeProvider.System, NullLogger.Instance);
    }
}
