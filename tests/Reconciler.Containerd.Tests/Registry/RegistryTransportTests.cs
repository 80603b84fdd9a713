using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Reconciler.Containerd.Registries;
using Reconciler.Testing;

namespace Reconciler.Containerd.Tests.Registries;

/// <summary>Tries again, on virtual time.</summary>
public sealed class RegistryTransportTests : IAsyncDisposable
{
    private readonly FakeRegistry _registry = new();
    private readonly DelayTime _time = new();
    private readonly RegistryTransport _transport;

    public RegistryTransportTests() => _transport = new RegistryTransport(_time, NullLogger.Instance);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(1, null, 0.125, 0.25)]
    [InlineData(3, null, 0.5, 1)]
    [InlineData(30, null, 15, 30)]
    [InlineData(1, 7.0, 7, 7.5)]
    [InlineData(4, 0.0, 0, 0.5)]
    [InlineData(1, 86400.0, 30, 30.5)]
    [InlineData(1, -5.0, 0, 0.5)]
    public void Delays_double_or_are_what_the_server_asks_and_are_spread(int attempt, double? asked, double least, double most)
    {
        TimeSpan? wanted = asked is { } seconds ? TimeSpan.FromSeconds(seconds) : null;

        Assert.Equal(TimeSpan.FromSeconds(least), RegistryTransport.Delay(attempt, wanted, 0));
        Assert.Equal(TimeSpan.FromSeconds(most), RegistryTransport.Delay(attempt, wanted, 1));
        Assert.InRange(RegistryTransport.Delay(attempt, wanted), TimeSpan.FromSeconds(least), TimeSpan.FromSeconds(most));
    }

    [Theory]
    [InlineData(429)]
    [InlineData(503)]
    [InlineData(522)]
    public async Task Retry_after_is_heeded_as_seconds_and_as_a_date(int status)
    {
        var asks = new Queue<string?>(["7", _time.GetUtcNow().AddSeconds(7 + 0.5 + 12).ToString("r", CultureInfo.InvariantCulture), "soon", null]);
        _registry.Intercept = _ => asks.TryDequeue(out var after) ? Refusal(status, after) : new FakeAnswer(200);
        var sending = SendAsync(Stop);

        await DelayAsync(7, 7.5);
        await DelayAsync(11, 13); // a date has whole seconds
        await DelayAsync(0.5, 1);
        await DelayAsync(1, 2);

        using var answer = await sending;
        Assert.Equal(200, (int)answer.StatusCode);
        Assert.Equal(5, _registry.Requests.Count);
    }

    [Fact]
    public async Task Tries_are_bounded_however_long_the_server_asks_for()
    {
        _registry.Intercept = _ => Refusal(503, "100000");
        var sending = SendAsync(Stop);

        for (var i = 0; i < 4; i++) await DelayAsync(30, 30.5);

        Assert.Contains("503", (await Assert.ThrowsAsync<PullException>(() => sending)).Message, StringComparison.Ordinal);
        Assert.Equal(5, _registry.Requests.Count);
    }

    [Theory]
    [InlineData(501)]
    [InlineData(404)]
    public async Task What_will_not_change_is_not_tried_again(int status)
    {
        _registry.Intercept = _ => Refusal(status, "1");

        using var answer = await SendAsync(Stop);

        Assert.Equal(status, (int)answer.StatusCode);
        Assert.Single(_registry.Requests);
    }

    [Fact]
    public async Task A_wait_for_the_next_try_is_cancelled_at_once()
    {
        _registry.Intercept = _ => Refusal(429, "20");
        using var cancel = new CancellationTokenSource();
        var sending = SendAsync(cancel.Token);
        await _time.NextAsync(Stop);

        await cancel.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => sending);
        Assert.Single(_registry.Requests);
    }

    [Fact]
    public async Task A_server_that_takes_the_request_and_says_nothing_is_unreachable_after_a_minute()
    {
        using var arrived = new SemaphoreSlim(0);
        using var over = new ManualResetEventSlim();
        _registry.Intercept = _ =>
        {
            arrived.Release();
            over.Wait(Eventually.DefaultLimit);
            return null;
        };
        var sending = SendAsync(Stop);
        Assert.True(await arrived.WaitAsync(Eventually.DefaultLimit, Stop));

        _time.Advance(TimeSpan.FromSeconds(60));

        Assert.Equal(PullErrorKind.Unreachable, (await Assert.ThrowsAsync<PullException>(() => sending)).Kind);
        over.Set();
    }

    [Fact]
    public async Task A_body_that_drips_is_unreachable_after_five_minutes()
    {
        await using var drip = new Drip(_time, TimeSpan.FromSeconds(50));
        using var stall = new StallLimit(_time, Stop);
        var reads = 0;

        var error = await Assert.ThrowsAsync<PullException>(async () =>
        {
            for (; reads < 100; reads++) await stall.ReadAsync(drip, new byte[10_000], "blob");
        });

        Assert.Equal((PullErrorKind.Unreachable, 5), (error.Kind, reads));
    }

    [Fact]
    public async Task A_body_that_is_slow_and_steady_is_read()
    {
        await using var drip = new Drip(_time, TimeSpan.FromSeconds(1));
        using var stall = new StallLimit(_time, Stop);

        for (var i = 0; i < 1000; i++) Assert.Equal(10_000, await stall.ReadAsync(drip, new byte[10_000], "blob"));
    }

    [Fact]
    public async Task A_document_takes_at_most_five_minutes()
    {
        using var content = new StreamContent(new Drip(_time, TimeSpan.FromSeconds(30)));

        var error = await Assert.ThrowsAsync<PullException>(() => BodyReader.ReadAllAsync(content, 10_000_000, "manifest", _time, Stop));

        Assert.Equal(PullErrorKind.Unreachable, error.Kind);
    }

    public async ValueTask DisposeAsync()
    {
        _transport.Dispose();
        await _registry.DisposeAsync();
    }

    /// <summary>Endless; each read takes its time.</summary>
    private sealed class Drip(DelayTime time, TimeSpan each) : MemoryStream
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            time.Advance(each);
            return ValueTask.FromResult(Math.Min(buffer.Length, 10_000));
        }
    }

    private Task<HttpResponseMessage> SendAsync(CancellationToken cancellation) => _transport.SendAsync(
        () => new HttpRequestMessage(HttpMethod.Get, new Uri($"http://{_registry.Host}/")), follow: false, RegistryTransport.MaxAttempts, "test", cancellation);

    private static FakeAnswer Refusal(int status, string? after) => after is null ? new FakeAnswer(status) : new FakeAnswer(status).With("Retry-After", after);

    private async Task DelayAsync(double least, double most)
    {
        var delay = await _time.NextAsync(Stop);
        Assert.InRange(delay, TimeSpan.FromSeconds(least), TimeSpan.FromSeconds(most));
        _time.Advance(delay);
    }
}
