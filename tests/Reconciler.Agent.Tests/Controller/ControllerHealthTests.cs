using System.Net;
using System.Text.RegularExpressions;
using Microsoft.Extensions.Logging;
using Reconciler.Agent.Controller;
using Reconciler.Agent.Hosting;
using Reconciler.Agent.Http;
using Reconciler.Agent.Tests.Commands;
using Reconciler.Sources.Kubernetes;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.Controller;

/// <summary>What the kubelet hears of controllers over HTTP.</summary>
[Collection(ControllerCollection.Name)]
public sealed partial class ControllerHealthTests(ControllerCluster cluster)
{
    [Fact]
    public async Task Who_leads_and_who_waits_is_ready()
    {
        await using var first = new Candidate(cluster.OpenController(), TimeProvider.System);
        await Eventually.UntilAsync(() => first.LeadsAsync(), "the first leads");
        await using var second = new Candidate(cluster.OpenController(), TimeProvider.System);
        await Eventually.UntilAsync(async () => await first.LeadsAsync() != await second.LeadsAsync(), "one of two leads"); // a machine that stalls makes them change places

        foreach (var candidate in new[] { first, second })
            foreach (var path in new[] { "/healthz", "/readyz" })
                await candidate.AnswersAsync(path, HttpStatusCode.OK, "ok");
    }

    [Fact]
    public async Task Who_never_heard_from_the_server_is_alive_and_not_ready()
    {
        using var folder = new TempFolder();
        var kubeconfig = await File.ReadAllTextAsync(cluster.ControllerKubeconfig, TestContext.Current.CancellationToken);
        Assert.Single(Port().Matches(kubeconfig));
        await File.WriteAllTextAsync(folder["kubeconfig"], Port().Replace(kubeconfig, ":1"), TestContext.Current.CancellationToken); // nobody is there
        var client = ClusterClient.Open(new ClusterOptions { Kubeconfig = folder["kubeconfig"], Program = "reconciler-controller" }, TimeProvider.System);
        await using var candidate = new Candidate(client, TimeProvider.System);

        await candidate.AnswersAsync("/healthz", HttpStatusCode.OK, "ok");
        await candidate.AnswersAsync("/readyz", HttpStatusCode.ServiceUnavailable, "the API server has not answered yet");
    }

    [Fact]
    public async Task Whose_server_went_away_is_alive_and_not_ready_until_it_is_back()
    {
        var time = new LaterTime();
        await using var candidate = new Candidate(cluster.OpenController(), time);
        await candidate.AnswersAsync("/readyz", HttpStatusCode.OK, "ok");

        await cluster.Api.KillAsync();
        try
        {
            await candidate.FailsAsync(); // so that no answer from before comes in after the time is put ahead
            time.Later(TimeSpan.FromSeconds(31));
            var (code, text) = await candidate.GetAsync("/readyz");
            Assert.Equal(HttpStatusCode.ServiceUnavailable, code);
            Assert.StartsWith("the API server has not answered for ", text, StringComparison.Ordinal);
            await candidate.AnswersAsync("/healthz", HttpStatusCode.OK, "ok");
        }
        finally
        {
            await cluster.Api.StartAgainAsync();
            await cluster.UntilServedAsync();
        }
        await candidate.AnswersAsync("/readyz", HttpStatusCode.OK, "ok");
    }

    [GeneratedRegex("(?<=https://127\\.0\\.0\\.1):[0-9]+")]
    private static partial Regex Port();

    /// <summary>A controller in this process.</summary>
    private sealed partial class Candidate : IAsyncDisposable
    {
        private readonly CancellationTokenSource _stop = new();
        private readonly SharedText _log = new();
        private readonly HttpClient _http = new(new SocketsHttpHandler { UseProxy = false }) { Timeout = Eventually.DefaultLimit };
        private readonly ILoggerFactory _loggers;
        private readonly ClusterClient _client;
        private readonly Task _run;

        public Candidate(ClusterClient client, TimeProvider time)
        {
            _client = client;
            _loggers = LoggerFactory.Create(builder => builder.AddProvider(new StderrLog(_log, TimeProvider.System, LogLevel.Information, false)));
            var election = new ElectionOptions { Namespace = ControllerCluster.Namespace, Identity = Names.Unique(), RetryPeriod = TimeSpan.FromMilliseconds(200) };
            _run = new ControllerService(
                client, ControllerCluster.Namespace, election, time, _loggers, _loggers.CreateLogger<ControllerService>(), ListenAddress.Parse("127.0.0.1:0", given: true)).RunAsync(_stop.Token);
        }

        public async Task<(HttpStatusCode Code, string Text)> GetAsync(string path)
        {
            var address = await Eventually.GetAsync(() => Task.FromResult(Address().Match(_log.ToString()) is { Success: true } match ? match.Groups[1].Value : null), "the log says where health is served");
            using var answer = await _http.GetAsync(new Uri(address + path), TestContext.Current.CancellationToken);
            return (answer.StatusCode, (await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).TrimEnd());
        }

        public async Task<bool> LeadsAsync() => (await GetAsync("/metrics")).Text.Contains("\nreconciler_leader 1\n", StringComparison.Ordinal);

        public Task AnswersAsync(string path, HttpStatusCode code, string text) =>
            Eventually.UntilAsync(async () => await GetAsync(path) == (code, text), $"{path} answers {code}");

        /// <summary>It stands for election once more, in vain.</summary>
        public async Task FailsAsync()
        {
            var before = Failures;
            await Eventually.UntilAsync(() => Failures > before, "it has no answer");
        }

        private int Failures => _log.ToString().Split("Leader election: ").Length;

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await _run.WaitAsync(Eventually.DefaultLimit);
            _stop.Dispose();
            _http.Dispose();
            _client.Dispose();
            _loggers.Dispose();
        }

        [GeneratedRegex("--metrics-address.*(http://127\\.0\\.0\\.1:[0-9]+)")]
        private static partial Regex Address();
    }

    /// <summary>Time that goes as it does, and is put ahead at will.</summary>
    private sealed class LaterTime : TimeProvider
    {
        private long _ahead;

        public void Later(TimeSpan time) => Interlocked.Add(ref _ahead, (long)(time.TotalSeconds * TimestampFrequency));

        public override long GetTimestamp() => base.GetTimestamp() + Interlocked.Read(ref _ahead);
    }
}
