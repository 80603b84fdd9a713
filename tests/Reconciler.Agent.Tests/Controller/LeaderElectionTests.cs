using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using Reconciler.Agent.Controller;
using Reconciler.Testing;
using Reconciler.Testing.Kubernetes;
using static Reconciler.Agent.Tests.Controller.Scenario;

namespace Reconciler.Agent.Tests.Controller;

/// <summary>One acts at a time, by a Lease on a real API server.</summary>
[Collection(ControllerCollection.Name)]
public sealed class LeaderElectionTests(ControllerCluster cluster)
{
    [Fact]
    public async Task The_second_waits_until_the_first_gives_the_lease_back()
    {
        var name = "e" + Names.Unique();
        await using var first = new Candidate(cluster, name);
        await Eventually.UntilAsync(() => first.Leads, "the first leads");
        await using var second = new Candidate(cluster, name);
        await second.TriedAsync();
        Assert.False(second.Leads);

        await first.StopAsync();
        Assert.False(first.Leads);
        await Eventually.UntilAsync(() => second.Leads, "the second leads");
        Assert.Equal("1", await cluster.Api.KubectlAsync("get", "lease", name, "-o", "jsonpath={.spec.leaseTransitions}"));
    }

    [Fact]
    public async Task A_leader_that_cannot_renew_stops_acting_and_survives_refused_connections()
    {
        await using var candidate = new Candidate(cluster, "e" + Names.Unique(), renewDeadline: TimeSpan.FromSeconds(2));
        await Eventually.UntilAsync(() => candidate.Leads, "it leads");

        await cluster.Api.KillAsync();
        try
        {
            await Eventually.UntilAsync(() => !candidate.Leads, "it stopped acting");
        }
        finally
        {
            await cluster.Api.StartAgainAsync();
            await cluster.UntilServedAsync();
        }
        await Eventually.UntilAsync(() => candidate.Leads, "it leads again");
    }

    [Fact]
    public async Task A_leader_whose_lease_somebody_took_stops_acting()
    {
        var name = "e" + Names.Unique();
        await using var candidate = new Candidate(cluster, name, renewDeadline: TimeSpan.FromMinutes(10));
        await Eventually.UntilAsync(() => candidate.Leads, "it leads");

        await cluster.Api.KubectlAsync("patch", "lease", name, "--type=merge", "-p", """{"spec":{"holderIdentity":"thief"}}""");

        await Eventually.UntilAsync(() => !candidate.Leads, "it stopped acting");
    }

    [Fact]
    public async Task A_controller_that_is_killed_in_the_middle_of_a_rollout_is_replaced_by_another()
    {
        await using var scenario = await StartAsync(cluster, nodes: 3);
        await using var first = new ControllerProcess(cluster);
        await scenario.ApplySetAsync();
        await scenario.UntilAsync(async () => (await scenario.ChildrenAsync()).Count == 3, "there are children");
        foreach (var child in await scenario.ChildrenAsync()) await scenario.AnswerAsync(child);
        await scenario.ReadyAsync();

        await scenario.ApplySetAsync(image: "example.org/app:2");
        await scenario.UntilAsync(async () => (await scenario.ChildrenAsync()).Any(child => !IsAnswered(child)), "the first child is changed");
        await first.DisposeAsync();
        await using var second = new ControllerProcess(cluster);
        scenario.RunAgents();
        await scenario.ReadyAsync();

        Assert.Single((await scenario.ChildrenAsync()).Select(RevisionOf).Distinct());
        Assert.Equal(0, await second.StopAsync());
        Assert.Empty(await cluster.Api.KubectlAsync("get", "lease", "reconciler-controller", "-n", ControllerCluster.Namespace, "-o", "jsonpath={.spec.holderIdentity}"));
    }

    /// <summary>The program itself; killed at the end.</summary>
    private sealed class ControllerProcess(ControllerCluster cluster) : IAsyncDisposable
    {
        private readonly Process _process = Process.Start(new ProcessStartInfo("/bin/sh",
        [
            "-c", "log=$1; shift; exec \"$@\" >\"$log\" 2>&1 </dev/null", "sh", cluster.Api[$"controller-{Names.Unique()}.log"],
            Path.Combine(AppContext.BaseDirectory, "reconciler"), "controller", "--kubeconfig", cluster.ControllerKubeconfig, "--log-level", "debug",
        ]))!;

        /// <returns>Exit code after SIGTERM.</returns>
        public async Task<int> StopAsync()
        {
            Signals.Send(_process.Id, Signals.Terminate);
            await _process.WaitForExitAsync(TestContext.Current.CancellationToken);
            return _process.ExitCode;
        }

        public async ValueTask DisposeAsync()
        {
            _process.Kill();
            await _process.WaitForExitAsync(CancellationToken.None);
        }
    }

    private sealed class Candidate : IAsyncDisposable
    {
        private readonly CancellationTokenSource _stop = new();
        private readonly Reconciler.Sources.Kubernetes.ClusterClient _client;
        private readonly CountingTime _time = new();
        private readonly Task _run;
        private volatile bool _leads;

        public Candidate(ControllerCluster cluster, string name, TimeSpan? renewDeadline = null)
        {
            _client = cluster.Open("election");
            var options = new ElectionOptions
            {
                Namespace = "default", Name = name, Identity = Names.Unique(), RetryPeriod = TimeSpan.FromMilliseconds(200), RenewDeadline = renewDeadline ?? TimeSpan.FromMinutes(4), Duration = TimeSpan.FromMinutes(5),
            };
            _run = new LeaderElection(_client, options, _time, NullLogger<LeaderElection>.Instance).RunAsync(LeadAsync, _stop.Token);
        }

        public bool Leads => _leads;

        /// <summary>It has asked for the Lease several times from now.</summary>
        public async Task TriedAsync()
        {
            var from = _time.Timers;
            await Eventually.UntilAsync(() => _time.Timers >= from + 6, "the candidate tries");
        }

        public async Task StopAsync()
        {
            await _stop.CancelAsync();
            await _run.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        public async ValueTask DisposeAsync()
        {
            await StopAsync();
            _stop.Dispose();
            _client.Dispose();
        }

        private async Task LeadAsync(CancellationToken leading)
        {
            _leads = true;
            try
            {
                await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, leading);
            }
            finally
            {
                _leads = false;
            }
        }
    }

    /// <summary>Counts the waits and limits that were begun: each try has some.</summary>
    private sealed class CountingTime : TimeProvider
    {
        private int _timers;

        public int Timers => Volatile.Read(ref _timers);

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            Interlocked.Increment(ref _timers);
            return base.CreateTimer(callback, state, dueTime, period);
        }
    }
}
