using Microsoft.Extensions.Time.Testing;
using Reconciler.Sources.Kubernetes;
using Reconciler.Testing;
using Reconciler.Testing.Kubernetes;

namespace Reconciler.Sources.Tests.Kubernetes;

/// <summary>What changes on disk while the agent runs, and links that are slow.</summary>
public sealed class ClusterClientTests : IAsyncDisposable
{
    private static readonly CancellationToken Cancel = TestContext.Current.CancellationToken;

    private readonly TempFolder _folder = new();
    private readonly GuardedServer _server = new();
    private readonly CertificateAuthority _authority = new("first");
    private readonly CertificateAuthority _next = new("second");

    public ClusterClientTests()
    {
        _server.Present(_authority);
        _server.Token = "one";
        File.WriteAllText(_folder["ca.crt"], _authority.Pem);
        File.WriteAllText(_folder["token"], "one");
    }

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        _authority.Dispose();
        _next.Dispose();
        _folder.Dispose();
    }

    [Theory]
    [InlineData("in the kubeconfig")]
    [InlineData("in a file")]
    public async Task A_token_that_has_expired_is_read_anew_with_the_next_request(string where)
    {
        void Write(string token)
        {
            File.WriteAllText(_folder["token"], token);
            WriteKubeconfig(where == "in a file" ? $"tokenFile: {_folder["token"]}" : $"token: {token}");
        }

        Write("one");
        using var client = Open();
        using (await client.GetAsync("x", Cancel)) { }
        _server.Token = "two";
        for (var i = 0; i < 2; i++)
        {
            var refused = await Assert.ThrowsAsync<ClusterException>(() => client.GetAsync("x", Cancel));
            Assert.Equal(401, refused.Status);
            Assert.Contains(_folder["kubeconfig"], refused.Message, StringComparison.Ordinal);
        }

        Write("two");
        using (await client.GetAsync("x", Cancel)) { }
        _server.Token = "three";
        File.Delete(_folder["kubeconfig"]); // while it is being replaced
        Assert.Equal(401, (await Assert.ThrowsAsync<ClusterException>(() => client.GetAsync("x", Cancel))).Status);
        Write("three");
        await Task.WhenAll(Enumerable.Range(0, 8).Select(async _ => (await client.PatchAsync("x", "{}"u8.ToArray(), ClusterClient.JsonPatch, Cancel)).Dispose()));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_new_CA_is_trusted_once_it_is_on_disk(bool besideTheOldOne)
    {
        WriteKubeconfig("token: one");
        using var client = Open();
        using (await client.GetAsync("x", Cancel)) { }
        _server.Present(_next);
        for (var i = 0; i < 2; i++)
        {
            var refused = await Assert.ThrowsAsync<ClusterException>(() => client.GetAsync("x", Cancel));
            Assert.Contains("certificate", refused.Message, StringComparison.OrdinalIgnoreCase);
        }

        File.WriteAllText(_folder["ca.crt"], besideTheOldOne ? _authority.Pem + "\n" + _next.Pem + "\n" : _next.Pem);
        using (await client.GetAsync("x", Cancel)) { }
        using (await client.GetAsync("x", Cancel)) { }
    }

    [Fact]
    public async Task An_answer_may_take_long_as_long_as_it_goes_on()
    {
        await using var server = new ScriptedServer();
        var time = new TimerCount();
        using var client = server.Connect(time);
        var answer = client.GetAsync("x", Cancel);
        var request = await server.NextAsync();
        await request.BeginAsync();
        foreach (var piece in (string[])["{\"a", "\":", "[1", ",2", "]}"])
        {
            var before = time.Changes;
            await request.WriteAsync(piece);
            await Eventually.UntilAsync(() => time.Changes > before, "the piece is read");
            time.Advance(TimeSpan.FromSeconds(20));
        }
        await request.EndAsync();
        using (var whole = await answer) Assert.Equal(2, whole.RootElement.GetProperty("a").GetArrayLength());

        answer = client.GetAsync("x", Cancel);
        request = await server.NextAsync();
        await request.BeginAsync();
        var heard = time.Changes;
        await request.WriteAsync("{");
        await Eventually.UntilAsync(() => time.Changes > heard, "the first byte is read");
        time.Advance(TimeSpan.FromSeconds(31));
        var silent = await Assert.ThrowsAsync<ClusterException>(() => answer);
        Assert.EndsWith("no answer in time", silent.Message, StringComparison.Ordinal);
        request.Break();
    }

    private ClusterClient Open() => ClusterClient.Open(new ClusterOptions { Kubeconfig = _folder["kubeconfig"], Program = "test" }, TimeProvider.System);

    private void WriteKubeconfig(string user) => File.WriteAllText(_folder["kubeconfig"], $$$"""
        apiVersion: v1
        kind: Config
        clusters: [{name: test, cluster: {server: "https://127.0.0.1:{{{_server.Port}}}", certificate-authority: "{{{_folder["ca.crt"]}}}"} }]
        users: [{name: test, user: { {{{user}}} } }]
        contexts: [{name: test, context: {cluster: test, user: test} }]
        current-context: test
        """);

    /// <summary>Virtual time that counts how often a deadline was moved.</summary>
    private sealed class TimerCount : FakeTimeProvider
    {
        private int _changes;

        public int Changes => Volatile.Read(ref _changes);

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            new Counted(base.CreateTimer(callback, state, dueTime, period), this);

        private sealed class Counted(ITimer timer, TimerCount owner) : ITimer
        {
            public bool Change(TimeSpan dueTime, TimeSpan period)
            {
                var changed = timer.Change(dueTime, period);
                Interlocked.Increment(ref owner._changes);
                return changed;
            }

            public void Dispose() => timer.Dispose();

            public ValueTask DisposeAsync() => timer.DisposeAsync();
        }
    }
}
