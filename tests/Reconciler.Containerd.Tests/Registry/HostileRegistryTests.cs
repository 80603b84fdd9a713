using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Reconciler.Containerd.Images;
using Reconciler.Containerd.Registries;
using Reconciler.Containerd.Tests.Images;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.Containerd.Tests.Registries;

/// <summary>Whatever a registry answers, a pull succeeds with the right content or ends with a <see cref="PullException"/>: in time, in little memory, with no login given away.</summary>
public sealed class HostileRegistryTests(SharedDaemon shared) : IAsyncDisposable
{
    /// <summary>What may lie in socket buffers and pools beside the 4 MiB that are read of a document.</summary>
    private const long MostSent = 64 * 1024 * 1024;

    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(4);

    private readonly FakeRegistry _registry = new();
    private readonly FakeRegistry _thief = new();
    private readonly FakeRegistry _tokens = new();
    private readonly TempFolder _folder = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Any_answer_gives_the_right_content_or_a_reason()
    {
        var image = TestImage.Create([new Archive().File("f", "text").ToArray()]);
        _registry.Add(image);
        _thief.Add(image);
        var ends = new Dictionary<string, int>();
        for (var seed = 1; seed <= 250; seed++)
        {
            var hostility = Set(seed, 22);
            using var transport = new RegistryTransport(new HastyTime(), NullLogger.Instance);
            var server = Host(_registry) with { Headers = seed % 2 == 0 ? [] : [new("Authorization", "Basic hush")] };
            using var repository = new RegistryRepository(transport, new RegistryEndpoint(_registry.Host, server, "a/b"), _folder["config.json"], new HastyTime());
            await EndsWellAsync(hostility, ends, async stop => await repository.ResolveAsync("1", stop));
            await EndsWellAsync(hostility, ends, async stop => Assert.Equal(image.Manifest.Bytes, (await repository.ManifestAsync(image.Manifest.Digest, stop)).Bytes));
            await EndsWellAsync(hostility, ends, async stop => Assert.Equal(image.Config.Bytes, await repository.SmallBlobAsync(image.Config.Digest, 1_000_000, stop)));
            await EndsWellAsync(hostility, ends, async stop => (await repository.OpenBlobAsync(image.Layers[0].Digest, 7, stop)).Answer.Dispose());
        }

        AssertNoLoginGiven();
        // Each kind of end was met, and every host: the table of answers does what it is for.
        Assert.NotEmpty(_thief.Requests);
        Assert.NotEmpty(_tokens.Requests);
        Assert.Contains(_registry.Requests, request => request["Authorization"] is not null);
        Assert.True(ends.Count >= 6 && ends["done"] > 100, string.Join(", ", ends));
    }

    [Fact]
    public async Task Any_answer_makes_a_whole_pull_or_a_reason_and_nothing_is_left()
    {
        await using var daemon = await ContainerdDaemon.StartAsync();
        await using var client = await ContainerdClient.ConnectAsync(
            SharedDaemon.OptionsFor(daemon) with
            {
                TimeProvider = new HastyTime(),
                Registry = new RegistryOptions { PlainHttpHosts = [_registry.Host], DockerConfigPath = _folder["config.json"] },
            },
            Stop);
        var ends = new Dictionary<string, int>();
        for (var seed = 1; seed <= 60; seed++)
        {
            var image = PullTests.Unique();
            var reference = _registry.Add(image, "h/" + Names.Unique());
            _thief.Add(image, reference[(_registry.Host.Length + 1)..^2]);
            var hostility = Set(seed, 100);
            await EndsWellAsync(hostility, ends, async stop => await client.PullImageAsync(reference, cancellation: stop));
            if (await client.GetImageAsync(reference, Stop) is null) continue;
            Assert.True(await client.IsUnpackedAsync(reference, Stop), hostility.ToString());
            await client.RemoveImageAsync(reference, cancellation: Stop);
        }

        AssertNoLoginGiven();
        await Eventually.UntilAsync(async () => (await daemon.CtrAsync("leases", "ls", "-q")).Trim().Length == 0, "no lease stays");
        await Eventually.UntilAsync(async () => !(await daemon.CtrAsync("snapshots", "ls")).Contains("extract-", StringComparison.Ordinal), "no unfinished snapshot stays");
        Assert.True(ends.Count >= 3 && ends.ContainsKey("done"), string.Join(", ", ends));
    }

    [Theory]
    [InlineData("manifest")]
    [InlineData("config")]
    [InlineData("token")]
    [InlineData("error")]
    public async Task An_endless_document_is_cut_at_its_limit(string what)
    {
        var endless = new FakeAnswer(what == "error" ? 403 : 200, new byte[256 * 1024]) { Endless = true };
        _registry.Intercept = _ => what == "token" ? new FakeAnswer(401).With("WWW-Authenticate", $"Bearer realm=\"http://{_tokens.Host}/\"") : endless;
        _tokens.Intercept = _ => endless;
        using var transport = new RegistryTransport(TimeProvider.System, NullLogger.Instance);
        using var repository = new RegistryRepository(transport, new RegistryEndpoint(_registry.Host, Host(_registry), "a/b"), "/nonexistent", TimeProvider.System);

        var error = await Assert.ThrowsAsync<PullException>(() => what == "config"
            ? repository.SmallBlobAsync("sha256:" + new string('0', 64), 8 << 20, Stop)
            : repository.ManifestAsync("1", Stop));

        Assert.Equal(what == "error" ? PullErrorKind.Unauthorized : PullErrorKind.Invalid, error.Kind);
        Assert.InRange(_registry.EndlessBytes + _tokens.EndlessBytes, 0, MostSent);
    }

    [Fact]
    public async Task An_endless_blob_is_read_up_to_its_size()
    {
        var image = PullTests.Unique();
        var reference = _registry.Add(image, "e/" + Names.Unique());
        var layer = image.Layers[^1];
        _registry.Intercept = request => request.Method == "GET" && request.Path.EndsWith(layer.Digest, StringComparison.Ordinal) ? new FakeAnswer(200, new byte[256 * 1024]) { Endless = true } : null;
        await using var client = await ContainerdClient.ConnectAsync(
            SharedDaemon.OptionsFor(shared.Daemon) with { Registry = new RegistryOptions { PlainHttpHosts = [_registry.Host], DockerConfigPath = "/nonexistent" } }, Stop);

        var error = await Assert.ThrowsAsync<PullException>(() => client.PullImageAsync(reference, cancellation: Stop));

        Assert.Equal(PullErrorKind.DigestMismatch, error.Kind);
        Assert.InRange(_registry.EndlessBytes, 0, MostSent);
    }

    [Fact]
    public async Task A_blob_that_comes_byte_by_byte_and_breaks_off_each_time_is_given_up()
    {
        var image = PullTests.Unique();
        var reference = _registry.Add(image, "e/" + Names.Unique());
        var layer = image.Layers[^1];
        _registry.Intercept = request => request.Method == "GET" && request.Path.EndsWith(layer.Digest, StringComparison.Ordinal) ? _registry.Serve(request) with { CutAfter = 1 } : null;
        await using var client = await ContainerdClient.ConnectAsync(
            SharedDaemon.OptionsFor(shared.Daemon) with
            {
                TimeProvider = new HastyTime(),
                Registry = new RegistryOptions { PlainHttpHosts = [_registry.Host], DockerConfigPath = "/nonexistent" },
            },
            Stop);

        var error = await Assert.ThrowsAsync<PullException>(() => client.PullImageAsync(reference, cancellation: Stop));

        Assert.Equal(PullErrorKind.Unreachable, error.Kind);
        Assert.Equal(5, _registry.BlobGets(layer.Digest).Count());
    }

    public async ValueTask DisposeAsync()
    {
        await _registry.DisposeAsync();
        await _thief.DisposeAsync();
        await _tokens.DisposeAsync();
        _folder.Dispose();
    }

    private static RegistryHost Host(FakeRegistry registry) => new(new Uri($"http://{registry.Host}/v2/"));

    private Hostility Set(int seed, int outOf)
    {
        var login = Convert.ToBase64String(Encoding.UTF8.GetBytes("me:hush"));
        File.WriteAllText(_folder["config.json"], $$"""{"auths":{"{{_registry.Host}}":{"auth":"{{login}}"} } }""");
        var hostility = new Hostility(seed, outOf, _registry, _thief, _tokens);
        _registry.Intercept = hostility.Answer;
        _tokens.Intercept = hostility.Token;
        return hostility;
    }

    /// <summary>Counts how it ended.</summary>
    private static async Task EndsWellAsync(Hostility hostility, Dictionary<string, int> ends, Func<CancellationToken, Task> action)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        limit.CancelAfter(Limit);
        var end = "done";
        try
        {
            await action(limit.Token);
        }
        catch (PullException e)
        {
            end = e.Kind.ToString();
            Assert.InRange(e.Message.Length, 10, 2000);
            Assert.DoesNotContain("hush", e.Message, StringComparison.Ordinal);
        }
        catch (Exception e)
        {
            Assert.Fail($"{hostility}: {e}");
        }
        ends[end] = ends.GetValueOrDefault(end) + 1;
    }

    private void AssertNoLoginGiven()
    {
        Assert.All(_thief.Requests, request =>
        {
            Assert.Null(request["Authorization"]);
            Assert.DoesNotContain("hush", request.Body, StringComparison.Ordinal);
        });
    }
}
