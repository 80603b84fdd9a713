using Microsoft.Extensions.Logging.Abstractions;
using Reconciler.Sources.Kubernetes;
using Reconciler.Testing;

namespace Reconciler.Sources.Tests.Kubernetes;

/// <summary>The reflector against answers that a real server gives seldom or never.</summary>
public sealed class ReflectorTests : IAsyncDisposable
{
    private readonly ScriptedServer _server = new();
    private readonly ClusterClient _client;
    private readonly IAsyncEnumerator<ClusterState> _states;

    public ReflectorTests()
    {
        _client = _server.Connect();
        var reflector = new Reflector(_client, "apis/x/v1/things", "fieldSelector=spec.nodeName%3Dn", TimeProvider.System, () => 0, NullLogger.Instance);
        _states = reflector.FollowAsync(TestContext.Current.CancellationToken).GetAsyncEnumerator(TestContext.Current.CancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        _client.Dispose();
    }

    [Fact]
    public async Task The_initial_list_is_streamed_up_to_its_end_mark_and_then_followed()
    {
        var next = NextAsync();
        var watch = await _server.NextAsync();
        Assert.True(watch is { IsWatch: true, AsksForInitial: true });
        Assert.Contains("fieldSelector=spec.nodeName=n", watch.Target, StringComparison.Ordinal);
        await watch.BeginAsync();
        await watch.WriteAsync(Event("ADDED", "a", 5) + Event("ADDED", "b", 6) + Bookmark(7, initialEnd: true));
        var state = await next;
        Assert.Equal(["a", "b"], Names(state));
        Assert.Equal(("7", ""), (state.ResourceVersion, state.Doubt));

        await watch.WriteAsync(Event("DELETED", "a", 8));
        Assert.Equal(["b"], Names(await NextAsync()));
        await watch.WriteAsync(Event("MODIFIED", "b", 9));
        Assert.Equal("9", (await NextAsync()).Objects.Values.Single().ResourceVersion);
        await watch.WriteAsync(Bookmark(20));
        Assert.Equal("20", (await NextAsync()).ResourceVersion);
    }

    [Fact]
    public async Task A_server_that_cannot_stream_the_list_is_asked_for_pages()
    {
        var next = NextAsync();
        await RefuseStreamAsync();
        var first = await _server.NextAsync();
        Assert.Contains("limit=500", first.Target, StringComparison.Ordinal);
        await first.AnswerAsync(200, List(10, "more&", Item("a", 1)));
        var second = await _server.NextAsync();
        Assert.Contains("continue=more&", second.Target, StringComparison.Ordinal);
        await second.AnswerAsync(200, List(10, "", Item("b", 2)));
        Assert.Equal(["a", "b"], Names(await next));
        next = NextAsync();
        var watch = await _server.NextAsync();
        Assert.Contains("resourceVersion=10", watch.Target, StringComparison.Ordinal);
        await watch.BeginAsync();
        await watch.WriteAsync(Event("ADDED", "c", 11));
        Assert.Equal(["a", "b", "c"], Names(await next));
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("[]")]
    [InlineData("not json")]
    [InlineData("""{"metadata":{},"items":[]}""")]
    [InlineData("""{"metadata":{"resourceVersion":"3"}}""")]
    [InlineData("""{"metadata":{"resourceVersion":"3"},"items":[{}]}""")]
    public async Task An_answer_that_is_no_list_is_a_doubt_and_never_an_empty_list(string body)
    {
        var next = NextAsync();
        await RefuseStreamAsync();
        await (await _server.NextAsync()).AnswerAsync(200, body);
        var state = await next;
        Assert.False(state.IsListed);
        Assert.NotEqual("", state.Doubt);
    }

    [Theory]
    [InlineData(403, "Forbidden")]
    [InlineData(404, "NotFound")]
    [InlineData(500, "InternalError")]
    public async Task A_refused_list_is_a_doubt_with_the_servers_words(int status, string reason)
    {
        var next = NextAsync();
        var request = await _server.NextAsync();
        await request.AnswerAsync(status, Status(status, $"because of {reason}"));
        if (status == 500) await (await _server.NextAsync()).AnswerAsync(status, Status(status, $"because of {reason}"));
        var state = await next;
        Assert.Equal((false, $"because of {reason}"), (state.IsListed, state.Doubt));
    }

    [Fact]
    public async Task A_watch_that_breaks_inside_a_line_goes_on_from_the_last_event()
    {
        var next = NextAsync();
        var watch = await _server.NextAsync();
        await watch.BeginAsync();
        await watch.WriteAsync(Event("ADDED", "a", 5) + Bookmark(7, initialEnd: true));
        await next;
        await watch.WriteAsync(Event("MODIFIED", "a", 9));
        await NextAsync();
        next = NextAsync();
        await watch.WriteAsync(Event("DELETED", "a", 10)[..30]);
        watch.Break();
        var broken = await next;
        Assert.Equal(["a"], Names(broken));
        Assert.NotEqual("", broken.Doubt);

        next = NextAsync();
        var check = await _server.NextAsync();
        Assert.Contains("limit=1", check.Target, StringComparison.Ordinal);
        await check.AnswerAsync(200, List(12, "", Item("a", 9)));
        var again = await _server.NextAsync();
        Assert.Contains("resourceVersion=9", again.Target, StringComparison.Ordinal);
        await again.BeginAsync();
        Assert.Equal(["a"], Names(await next));
        Assert.Equal("", _states.Current.Doubt);
        await again.WriteAsync(Event("DELETED", "a", 10));
        Assert.Empty((await NextAsync()).Objects);
    }

    [Fact]
    public async Task Events_that_arrive_a_few_bytes_at_a_time_are_read_whole()
    {
        var next = NextAsync();
        var watch = await _server.NextAsync();
        await watch.BeginAsync();
        var text = Event("ADDED", "\u00e9\u4e2d", 5) + Bookmark(7, initialEnd: true) + Event("ADDED", "b", 8);
        for (var at = 0; at < text.Length; at += 3) await watch.WriteAsync(text.Substring(at, Math.Min(3, text.Length - at)));
        Assert.Equal(["\u00e9\u4e2d"], Names(await next));
        Assert.Equal(["b", "\u00e9\u4e2d"], Names(await NextAsync()));
    }

    [Fact]
    public async Task Credentials_that_expire_are_a_doubt_and_what_was_known_stays()
    {
        var next = NextAsync();
        var watch = await _server.NextAsync();
        await watch.BeginAsync();
        await watch.WriteAsync(Event("ADDED", "a", 5) + Bookmark(7, initialEnd: true));
        await next;
        next = NextAsync();
        watch.Break();
        await next;
        next = NextAsync();
        await (await _server.NextAsync()).AnswerAsync(401, Status(401, "Unauthorized"));
        var refused = await next;
        Assert.Equal(["a"], Names(refused));
        Assert.Matches("^the credentials of .*kubeconfig are not accepted: Unauthorized ", refused.Doubt);

        next = NextAsync();
        await (await _server.NextAsync()).AnswerAsync(200, List(7, "", Item("a", 5)));
        await (await _server.NextAsync()).BeginAsync();
        Assert.Equal(["a"], Names(await next));
        Assert.Equal("", _states.Current.Doubt);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_version_that_is_gone_brings_a_new_list_that_finds_deletions(bool asEvent)
    {
        var next = NextAsync();
        var watch = await _server.NextAsync();
        await watch.BeginAsync();
        await watch.WriteAsync(Event("ADDED", "a", 5) + Event("ADDED", "b", 6) + Bookmark(7, initialEnd: true));
        await next;
        if (asEvent)
        {
            next = NextAsync();
            await watch.WriteAsync($$"""{"type":"ERROR","object":{{Status(410, "too old")}}}""" + "\n");
        }
        else
        {
            next = NextAsync();
            watch.Break();
            Assert.NotEqual("", (await next).Doubt);
            next = NextAsync();
            await (await _server.NextAsync()).AnswerAsync(200, List(20, ""));
            await (await _server.NextAsync()).AnswerAsync(410, Status(410, "too old"));
        }
        var relist = await _server.NextAsync();
        Assert.True(relist.AsksForInitial);
        await relist.BeginAsync();
        await relist.WriteAsync(Event("ADDED", "b", 6) + Bookmark(20, initialEnd: true));
        Assert.Equal(["b"], Names(await next));
        Assert.Equal("", _states.Current.Doubt);
    }

    [Fact]
    public async Task A_server_behind_the_known_version_is_listed_anew_and_not_watched_from_the_future()
    {
        var next = NextAsync();
        var watch = await _server.NextAsync();
        await watch.BeginAsync();
        await watch.WriteAsync(Event("ADDED", "a", 5) + Bookmark(100, initialEnd: true));
        await next;
        next = NextAsync();
        watch.Break();
        await next;
        next = NextAsync();
        await (await _server.NextAsync()).AnswerAsync(200, List(50, ""));
        var relist = await _server.NextAsync();
        Assert.True(relist.AsksForInitial);
        await relist.BeginAsync();
        await relist.WriteAsync(Bookmark(50, initialEnd: true));
        Assert.Equal(("50", 0), ((await next).ResourceVersion, _states.Current.Objects.Count));
    }

    [Fact]
    public async Task Too_many_requests_waits_as_long_as_the_server_says()
    {
        var next = NextAsync();
        var request = await _server.NextAsync();
        var began = TimeProvider.System.GetTimestamp();
        await request.AnswerAsync(429, Status(429, "slow down"), "Retry-After: 2\r\n");
        await next;
        next = NextAsync();
        var again = await _server.NextAsync();
        Assert.True(TimeProvider.System.GetElapsedTime(began) >= TimeSpan.FromSeconds(1.5)); // by itself it would wait 0.4 s
        await again.BeginAsync();
        await again.WriteAsync(Bookmark(7, initialEnd: true));
        Assert.Equal("", (await next).Doubt);
    }

    private async Task<ClusterState> NextAsync()
    {
        Assert.True(await _states.MoveNextAsync().AsTask().WaitAsync(Eventually.DefaultLimit, TestContext.Current.CancellationToken));
        return _states.Current;
    }

    private async Task RefuseStreamAsync()
    {
        var request = await _server.NextAsync();
        Assert.True(request.AsksForInitial);
        await request.BeginAsync();
        await request.WriteAsync($$"""{"type":"ERROR","object":{{Status(500, "RequestWatchProgress is disabled")}}}""" + "\n");
        await request.EndAsync();
    }

    private static string Item(string name, int version) => $$$"""{"metadata":{"namespace":"default","name":"{{{name}}}","uid":"u-{{{name}}}","resourceVersion":"{{{version}}}"}}""";

    private static string Event(string type, string name, int version) => $$"""{"type":"{{type}}","object":{{Item(name, version)}}}""" + "\n";

    private static string Bookmark(int version, bool initialEnd = false)
    {
        var mark = initialEnd ? "\"k8s.io/initial-events-end\":\"true\"" : "";
        return $"{{\"type\":\"BOOKMARK\",\"object\":{{\"metadata\":{{\"resourceVersion\":\"{version}\",\"annotations\":{{{mark}}}}}}}}}\n";
    }

    private static string List(int version, string token, params string[] items) =>
        $$$"""{"metadata":{"resourceVersion":"{{{version}}}","continue":"{{{token}}}"},"items":[{{{string.Join(',', items)}}}]}""";

    private static string Status(int code, string message) => $$"""{"kind":"Status","code":{{code}},"message":"{{message}}"}""";

    private static string[] Names(ClusterState state) => [.. state.Objects.Keys.Select(name => name.Name).Order(StringComparer.Ordinal)];
}
