using System.Collections.Concurrent;
using Reconciler.Testing.Containerd;

namespace Reconciler.Containerd.Tests.Faults;

/// <summary>The connection or containerd fails in the middle of each public call, at each RPC that it makes.</summary>
public sealed class FaultTests(FaultBench bench) : IClassFixture<FaultBench>
{
    /// <summary>Far beyond the limits that the calls are given.</summary>
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(120);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_connection_lost_in_any_rpc_is_told_truly_and_leaves_nothing()
    {
        await EachAsync(4, async (call, rpc, occurrence) =>
        {
            await using var attempt = await Attempt.StageAsync(bench, call, options => options);
            var error = await attempt.JudgeAsync(attempt.RunAsync(rpc, occurrence, proxy => proxy.CutAtAnswer()).WaitAsync(Deadline, Stop));
            // With the daemon in reach, a failed call has tidied up when it throws.
            if (error is not null && call.MakesContainer) await bench.NothingOfAsync(attempt.Scene);
            await bench.CleanUpAsync(attempt.Scene);
        });
        await bench.AssertNothingIsLeftAsync();
    }

    [Fact]
    public async Task A_hang_in_any_rpc_ends_at_its_limit_and_what_is_left_can_be_removed()
    {
        await EachAsync(12, async (call, rpc, occurrence) =>
        {
            await using var attempt = await Attempt.StageAsync(bench, call, Short);
            var running = attempt.RunAsync(rpc, occurrence, proxy => proxy.Freeze());
            if (call.WaitsForExit)
            {
                await Task.WhenAny(running, attempt.Reached).WaitAsync(Deadline, Stop);
                attempt.Proxy.Heal();
            }
            await attempt.JudgeAsync(running.WaitAsync(Deadline, Stop));
            attempt.Proxy.Heal();
            await bench.CleanUpAsync(attempt.Scene);
        });
        await bench.AssertNothingIsLeftAsync();
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(0.5)]
    [InlineData(1.0)]
    public async Task A_restart_of_containerd_in_the_middle_of_every_call_is_told_truly_and_leaves_nothing(double place)
    {
        var attempts = new List<(PublicCall Call, Attempt Attempt, Task Running)>();
        foreach (var call in PublicCalls.All.Where(call => call.Rpcs))
        {
            var rpcs = await bench.RpcsAsync(call);
            var (rpc, occurrence) = rpcs[(int)(place * (rpcs.Count - 1))];
            var attempt = await Attempt.StageAsync(bench, call, options => options);
            attempts.Add((call, attempt, attempt.RunAsync(rpc, occurrence, proxy => proxy.Mute())));
        }
        foreach (var (_, attempt, running) in attempts) await Task.WhenAny(attempt.Reached, running).WaitAsync(Deadline, Stop);

        await bench.Daemon.KillAsync();
        await bench.Daemon.StartAgainAsync();

        var failures = new ConcurrentQueue<string>();
        await Parallel.ForEachAsync(attempts, Degree(4), (each, _) => NoteAsync(failures, each.Call, $"place {place}", async () =>
        {
            var (call, attempt, running) = each;
            attempt.Proxy.Heal();
            var error = await attempt.JudgeAsync(running.WaitAsync(Deadline, Stop));
            if (error is not null && call.MakesContainer) await bench.NothingOfAsync(attempt.Scene);
            await bench.CleanUpAsync(attempt.Scene);
            await attempt.DisposeAsync();
        }));
        Assert.True(failures.IsEmpty, string.Join("\n\n", failures));
        await bench.AssertNothingIsLeftAsync();
    }

    private static ParallelOptions Degree(int count) => new() { MaxDegreeOfParallelism = count, CancellationToken = Stop };

    /// <summary>Limits that a test can wait for.</summary>
    private static ContainerdClientOptions Short(ContainerdClientOptions options)
    {
        var limit = TimeSpan.FromSeconds(4);
        return options with
        {
            CallTimeout = limit,
            Limits = new CallLimits { Rollback = limit, Kill = limit, Settle = limit, Delete = limit, Long = limit, Apply = limit },
        };
    }

    /// <summary>Tries each RPC of each call, and tells all that went wrong.</summary>
    private async Task EachAsync(int atOnce, Func<PublicCall, string?, int, Task> attempt)
    {
        var all = new List<(PublicCall Call, string? Rpc, int Occurrence)>();
        foreach (var call in PublicCalls.All.Where(call => call.Rpcs))
            foreach (var (rpc, occurrence) in await bench.RpcsAsync(call)) all.Add((call, rpc, occurrence));
        var failures = new ConcurrentQueue<string>();
        await Parallel.ForEachAsync(all, Degree(atOnce), (at, _) => NoteAsync(failures, at.Call, $"{at.Rpc} {at.Occurrence}", () => attempt(at.Call, at.Rpc, at.Occurrence)));
        Assert.True(failures.IsEmpty, string.Join("\n\n", failures));
    }

    private static async ValueTask NoteAsync(ConcurrentQueue<string> failures, PublicCall call, string at, Func<Task> work)
    {
        if (await Record.ExceptionAsync(work) is { } failure) failures.Enqueue($"{call.Method} at {at}: {failure}");
    }
}
