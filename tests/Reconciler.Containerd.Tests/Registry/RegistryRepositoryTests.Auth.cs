namespace Reconciler.Containerd.Tests.Registries;

/// <content>Logins, tokens and redirects.</content>
public sealed partial class RegistryRepositoryTests
{
    [Fact]
    public async Task Basic_auth_from_the_docker_config_is_sent_only_when_asked_for()
    {
        _registry.Add(_image);
        var basic = "Basic " + Base64("me:secret");
        _registry.Intercept = request => request["Authorization"] == basic ? null : new FakeAnswer(401).With("WWW-Authenticate", "Basic realm=\"x\"");
        using var repository = Repository(Config("me:secret"));

        await repository.ResolveAsync("1", Stop);
        await repository.ManifestAsync("1", Stop);

        Assert.Equal([null, basic, basic], _registry.Requests.Select(request => request["Authorization"]));
    }

    [Fact]
    public async Task A_wrong_password_is_unauthorized_and_not_tried_for_ever()
    {
        _registry.Intercept = _ => new FakeAnswer(401).With("WWW-Authenticate", "Basic realm=\"x\"");
        using var repository = Repository(Config("me:wrong"));

        await ThrowsAsync(PullErrorKind.Unauthorized, () => repository.ManifestAsync("1", Stop));
        Assert.Equal(2, _registry.Requests.Count);
    }

    [Fact]
    public async Task Without_a_login_basic_is_unauthorized_and_says_so()
    {
        _registry.Intercept = _ => new FakeAnswer(401).With("WWW-Authenticate", "Basic realm=\"x\"");
        using var repository = Repository();

        Assert.Contains("none is configured", (await ThrowsAsync(PullErrorKind.Unauthorized, () => repository.ManifestAsync("1", Stop))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_anonymous_token_is_fetched_for_the_repository_and_used_for_all()
    {
        ServeTokens(_ => new FakeAnswer(200, """{"token":"t1","expires_in":300}"""), "t1");
        using var repository = Repository();

        await repository.ResolveAsync("1", Stop);
        await repository.ManifestAsync("1", Stop);

        var token = Assert.Single(_registry.Requests, request => request.Path == "/token");
        Assert.Equal("GET", token.Method);
        Assert.Contains("service=svc", token.Target, StringComparison.Ordinal);
        Assert.Contains("scope=repository%3Aa%2Fb%3Apull", token.Target, StringComparison.Ordinal);
        Assert.Null(token["Authorization"]);
    }

    [Fact]
    public async Task A_password_is_posted_and_falls_back_to_get_with_basic()
    {
        ServeTokens(request => request.Method == "POST" ? new FakeAnswer(405) : new FakeAnswer(200, """{"access_token":"t1"}"""), "t1");
        using var repository = Repository(Config("me:secret"));

        await repository.ResolveAsync("1", Stop);

        var asked = _registry.Requests.Where(request => request.Path == "/token").ToList();
        Assert.Equal(["POST", "GET"], asked.Select(request => request.Method));
        Assert.Contains("grant_type=password", asked[0].Body, StringComparison.Ordinal);
        Assert.Contains("password=secret", asked[0].Body, StringComparison.Ordinal);
        Assert.Equal("Basic " + Base64("me:secret"), asked[1]["Authorization"]);
    }

    [Fact]
    public async Task An_identity_token_is_traded_for_an_access_token()
    {
        ServeTokens(_ => new FakeAnswer(200, """{"access_token":"t1"}"""), "t1");
        using var repository = Repository(Write($$"""{"auths":{"{{_registry.Host}}":{"identitytoken":"refresh me"} } }"""));

        await repository.ResolveAsync("1", Stop);

        var asked = Assert.Single(_registry.Requests, request => request.Path == "/token");
        Assert.Contains("grant_type=refresh_token", asked.Body, StringComparison.Ordinal);
        Assert.Contains("refresh_token=refresh+me", asked.Body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_token_no_longer_accepted_is_renewed()
    {
        var issued = 0;
        ServeTokens(_ => new FakeAnswer(200, $$"""{"token":"t{{Interlocked.Increment(ref issued)}}"}"""), "t1", "t2");
        using var repository = Repository();
        await repository.ResolveAsync("1", Stop);
        ServeTokens(_ => new FakeAnswer(200, $$"""{"token":"t{{Interlocked.Increment(ref issued)}}"}"""), "t2");

        await repository.ManifestAsync("1", Stop);

        Assert.Equal(2, issued);
    }

    [Theory]
    [InlineData(401, "{}", PullErrorKind.Unauthorized)]
    [InlineData(200, "{}", PullErrorKind.Failed)]
    [InlineData(200, "nonsense", PullErrorKind.Failed)]
    [InlineData(200, """{"token":"a\nb"}""", PullErrorKind.Failed)]
    public async Task A_bad_answer_of_the_token_server_is_an_error(int status, string body, PullErrorKind kind)
    {
        ServeTokens(_ => new FakeAnswer(status, body), "t1");
        using var repository = Repository();

        await ThrowsAsync(kind, () => repository.ResolveAsync("1", Stop));
    }

    [Theory]
    [InlineData("")]
    [InlineData("file:///etc/passwd")]
    [InlineData("not a uri")]
    public async Task A_bad_realm_is_an_error(string realm)
    {
        _registry.Intercept = _ => new FakeAnswer(401).With("WWW-Authenticate", $"Bearer realm=\"{realm}\"");
        using var repository = Repository();

        await ThrowsAsync(PullErrorKind.Invalid, () => repository.ResolveAsync("1", Stop));
    }

    [Fact]
    public async Task Authorization_does_not_follow_a_redirect_to_another_host()
    {
        await using var storage = new FakeRegistry();
        _registry.Add(_image);
        storage.Add(_image);
        var layer = _image.Layers[0];
        _registry.Intercept = request => request["Authorization"] is null
            ? new FakeAnswer(401).With("WWW-Authenticate", "Basic realm=\"x\"")
            : request.Path.Contains("/blobs/", StringComparison.Ordinal) ? new FakeAnswer(307).With("Location", $"http://{storage.Host}{request.Path}?signed=1") : null;
        using var repository = Repository(Config("me:secret"));

        var (answer, offset) = await repository.OpenBlobAsync(layer.Digest, 3, Stop);

        using (answer) Assert.Equal(layer.Bytes[3..], await answer.Content.ReadAsByteArrayAsync(Stop));
        Assert.Equal(3, offset);
        var moved = Assert.Single(storage.Requests);
        Assert.Null(moved["Authorization"]);
        Assert.Equal("bytes=3-", moved["Range"]);
    }

    [Fact]
    public async Task Authorization_follows_a_redirect_on_the_same_host()
    {
        _registry.Add(_image);
        _registry.Intercept = request => request["Authorization"] is null
            ? new FakeAnswer(401).With("WWW-Authenticate", "Basic realm=\"x\"")
            : request.Path.EndsWith("/manifests/1", StringComparison.Ordinal) ? new FakeAnswer(302).With("Location", $"/v2/a/b/manifests/{_image.Manifest.Digest}") : null;
        using var repository = Repository(Config("me:secret"));

        Assert.Equal(_image.Manifest.Bytes, (await repository.ManifestAsync("1", Stop)).Bytes);
    }

    [Fact]
    public async Task A_challenge_of_another_host_gets_no_login()
    {
        await using var thief = new FakeRegistry();
        thief.Intercept = _ => new FakeAnswer(401).With("WWW-Authenticate", "Basic realm=\"give\"");
        _registry.Intercept = request => new FakeAnswer(307).With("Location", $"http://{thief.Host}{request.Path}");
        using var repository = Repository(Config("me:secret"));

        await ThrowsAsync(PullErrorKind.Unauthorized, () => repository.ManifestAsync("1", Stop));
        Assert.All(thief.Requests.Concat(_registry.Requests), request => Assert.Null(request["Authorization"]));
    }
}
