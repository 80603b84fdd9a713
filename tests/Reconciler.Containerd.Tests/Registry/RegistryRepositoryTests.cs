using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Reconciler.Containerd.Images;
using Reconciler.Containerd.Registries;
using Reconciler.Testing;
using Reconciler.Testing.Images;

namespace Reconciler.Containerd.Tests.Registries;

public sealed partial class RegistryRepositoryTests : IAsyncDisposable
{
    private readonly FakeRegistry _registry = new();
    private readonly RegistryTransport _transport = new(TimeProvider.System, NullLogger.Instance);
    private readonly TempFolder _folder = new();
    private readonly TestImage _image = TestImage.Create([new Archive().File("f", "text").ToArray()]);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_tag_is_resolved_by_head_with_all_manifest_types_accepted()
    {
        _registry.Add(_image);
        using var repository = Repository();

        var found = await repository.ResolveAsync("1", Stop);

        Assert.Equal((TestImage.OciManifest, _image.Manifest.Digest, _image.Manifest.Bytes.Length), (found.MediaType, found.Digest, found.Size));
        var request = Assert.Single(_registry.Requests);
        Assert.Equal("HEAD", request.Method);
        Assert.All(MediaTypes.Accepted, type => Assert.Contains(type, request["Accept"]!, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(405)]
    [InlineData(200)] // without the digest
    public async Task Where_head_does_not_tell_get_does(int status)
    {
        _registry.Add(_image);
        _registry.Intercept = request => request.Method == "HEAD" ? new FakeAnswer(status) : null;
        using var repository = Repository();

        Assert.Equal(_image.Manifest.Digest, (await repository.ResolveAsync("1", Stop)).Digest);
    }

    [Fact]
    public async Task Another_digest_than_asked_for_is_a_mismatch()
    {
        _registry.Add(_image);
        var other = TestImage.Create([new Archive().File("g", "other").ToArray()]).Manifest;
        _registry.Intercept = request => request.Path.Contains("/manifests/", StringComparison.Ordinal)
            ? new FakeAnswer(200, other.Bytes).With("Content-Type", other.MediaType).With("Docker-Content-Digest", other.Digest)
            : null;
        using var repository = Repository();

        await ThrowsAsync(PullErrorKind.DigestMismatch, () => repository.ResolveAsync(_image.Manifest.Digest, Stop));
        await ThrowsAsync(PullErrorKind.DigestMismatch, () => repository.ManifestAsync(_image.Manifest.Digest, Stop));
    }

    [Theory]
    [InlineData(404, PullErrorKind.NotFound)]
    [InlineData(401, PullErrorKind.Unauthorized)]
    [InlineData(403, PullErrorKind.Unauthorized)]
    [InlineData(418, PullErrorKind.Failed)]
    public async Task A_refusal_has_its_kind_and_the_registrys_words(int status, PullErrorKind kind)
    {
        _registry.Intercept = _ => new FakeAnswer(status, """{"errors":[{"code":"SOME_CODE","message":"some words"}]}""");
        using var repository = Repository();

        var error = await ThrowsAsync(kind, () => repository.ResolveAsync("1", Stop));

        Assert.Contains("SOME_CODE some words", error.Message, StringComparison.Ordinal);
        Assert.Contains(_registry.Host, error.Message, StringComparison.Ordinal);
        Assert.Equal(kind == PullErrorKind.NotFound, error.IsNotfound);
    }

    [Theory]
    [InlineData(429)]
    [InlineData(500)]
    [InlineData(503)]
    public async Task A_transient_answer_is_tried_again(int status)
    {
        _registry.Add(_image);
        var refusals = 2;
        _registry.Intercept = _ => Interlocked.Decrement(ref refusals) >= 0 ? new FakeAnswer(status).With("Retry-After", "0") : null;
        using var repository = Repository();

        Assert.Equal(_image.Manifest.Digest, (await repository.ResolveAsync("1", Stop)).Digest);
        Assert.Equal(3, _registry.Requests.Count);
    }

    [Theory]
    [InlineData(429, PullErrorKind.Failed)]
    [InlineData(500, PullErrorKind.Failed)]
    [InlineData(503, PullErrorKind.Unreachable)]
    public async Task Tries_are_bounded(int status, PullErrorKind kind)
    {
        _registry.Intercept = _ => new FakeAnswer(status).With("Retry-After", "0");
        using var repository = Repository();

        await ThrowsAsync(kind, () => repository.ManifestAsync("1", Stop));
        Assert.Equal(5, _registry.Requests.Count);
    }

    [Fact]
    public async Task No_registry_there_is_unreachable()
    {
        using var dead = new DeadPort();
        var endpoint = new RegistryEndpoint("gone", new RegistryHost(new Uri($"http://{dead.Host}/v2/")), "a/b");
        using var repository = new RegistryRepository(_transport, endpoint, null, TimeProvider.System);

        await ThrowsAsync(PullErrorKind.Unreachable, () => repository.ResolveAsync("1", Stop));
    }

    [Fact]
    public async Task Http_where_tls_is_expected_says_what_to_do()
    {
        var endpoint = new RegistryEndpoint(_registry.Host, new RegistryHost(new Uri($"https://{_registry.Host}/v2/")), "a/b");
        using var repository = new RegistryRepository(_transport, endpoint, null, TimeProvider.System);

        var error = await ThrowsAsync(PullErrorKind.Unreachable, () => repository.ResolveAsync("1", Stop));

        Assert.Contains("plain http", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_manifest_too_large_is_refused_before_it_is_read()
    {
        _registry.Intercept = _ => new FakeAnswer(200) { CutAfter = 0 }.With("Content-Length", "5000000");
        using var repository = Repository();

        await ThrowsAsync(PullErrorKind.Invalid, () => repository.ManifestAsync("1", Stop));
    }

    [Fact]
    public async Task A_truncated_manifest_is_asked_for_again()
    {
        _registry.Add(_image);
        var cuts = 1;
        _registry.Intercept = request => request.Method == "GET" && Interlocked.Decrement(ref cuts) >= 0 ? _registry.Serve(request) with { CutAfter = 10 } : null;
        using var repository = Repository();

        Assert.Equal(_image.Manifest.Bytes, (await repository.ManifestAsync("1", Stop)).Bytes);
    }

    [Fact]
    public async Task Redirects_are_bounded()
    {
        _registry.Intercept = request => new FakeAnswer(302).With("Location", request.Target);
        using var repository = Repository();

        await ThrowsAsync(PullErrorKind.Invalid, () => repository.ManifestAsync("1", Stop));
        Assert.Equal(11, _registry.Requests.Count);
    }

    [Fact]
    public async Task A_registry_without_ranges_sends_from_the_start()
    {
        _registry.Add(_image);
        _registry.Intercept = request => request["Range"] is null ? null : new FakeAnswer(200, _image.Layers[0].Bytes);
        using var repository = Repository();

        var (answer, offset) = await repository.OpenBlobAsync(_image.Layers[0].Digest, 5, Stop);

        answer.Dispose();
        Assert.Equal(0, offset);
    }

    [Fact]
    public async Task A_range_other_than_asked_for_is_refused()
    {
        _registry.Intercept = _ => new FakeAnswer(206, "abc").With("Content-Range", "bytes 1-3/10");
        using var repository = Repository();

        await ThrowsAsync(PullErrorKind.Invalid, () => repository.OpenBlobAsync(_image.Layers[0].Digest, 5, Stop));
    }

    [Fact]
    public async Task A_body_that_stalls_is_unreachable_after_a_minute()
    {
        var time = new FakeTimeProvider();
        using var stall = new StallLimit(time, Stop);
        await using var silent = new SilentStream();

        var reading = stall.ReadAsync(silent, new byte[1], "blob").AsTask();
        time.Advance(StallLimit.Limit);

        await ThrowsAsync(PullErrorKind.Unreachable, () => reading);
    }

    public async ValueTask DisposeAsync()
    {
        _transport.Dispose();
        _folder.Dispose();
        await _registry.DisposeAsync();
    }

    private static async Task<PullException> ThrowsAsync(PullErrorKind kind, Func<Task> action)
    {
        var error = await Assert.ThrowsAsync<PullException>(action);
        Assert.True(error.Kind == kind, $"{error.Kind} in place of {kind}: {error}");
        return error;
    }

    private void ServeTokens(Func<FakeRequest, FakeAnswer> token, params string[] accepted)
    {
        _registry.Add(_image);
        var challenge = $"Bearer realm=\"http://{_registry.Host}/token\",service=\"svc\",scope=\"repository:a/b:pull\"";
        _registry.Intercept = request => request.Path == "/token"
            ? token(request)
            : accepted.Any(value => request["Authorization"] == "Bearer " + value) ? null : new FakeAnswer(401).With("WWW-Authenticate", challenge);
    }

    private RegistryRepository Repository(string? config = null) => new(
        _transport, new RegistryEndpoint(_registry.Host, new RegistryHost(new Uri($"http://{_registry.Host}/v2/")), "a/b"), config ?? _folder["none.json"], TimeProvider.System);

    private string Config(string login) => Write($$"""{"auths":{"{{_registry.Host}}":{"auth":"{{Base64(login)}}"} } }""");

    private string Write(string json)
    {
        File.WriteAllText(_folder["config.json"], json);
        return _folder["config.json"];
    }

    private static string Base64(string text) => Convert.ToBase64String(Encoding.UTF8.GetBytes(text));

    private sealed class SilentStream : MemoryStream
    {
        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            await Task.Delay(Timeout.Infinite, cancellationToken);
            return 0;
        }
    }
}
