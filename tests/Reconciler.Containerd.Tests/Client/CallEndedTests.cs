using System.Collections.Concurrent;
using System.Diagnostics;

namespace Reconciler.Containerd.Tests.Client;

/// <summary>What a program is told of the calls that a client makes.</summary>
public sealed class CallEndedTests(SharedDaemon shared)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Each_unary_call_is_told_with_its_status_and_a_wait_for_an_exit_is_not()
    {
        var ended = new ConcurrentQueue<EndedCall>();
        await using var client = await ContainerdClient.ConnectAsync(SharedDaemon.OptionsFor(shared.Daemon) with { CallEnded = ended.Enqueue }, Stop);
        Assert.Contains(ended, call => call is { Method: "Version.Version", Status: "OK" });

        await Assert.ThrowsAsync<ContainerdException>(() => client.GetContainerAsync(SharedDaemon.NewId(), Stop));
        Assert.Contains(ended, call => call is { Method: "Containers.Get", Status: "NotFound" });

        var id = SharedDaemon.NewId();
        await client.CreateContainerAsync(SharedDaemon.Sh(id, "exit 3"), Stop);
        Assert.Equal(3, (await client.ProbeContainerAsync(id, TimeSpan.Zero, Stop)).ExitCode);
        await client.DestroyContainerAsync(id, cancellation: Stop);
        Assert.Contains(ended, call => call is { Method: "Tasks.Start", Status: "OK" });
        Assert.DoesNotContain(ended, call => call.Method == "Tasks.Wait");
        Assert.All(ended, call => Assert.True(call.Duration >= TimeSpan.Zero));
    }

    [Fact]
    public async Task Who_listens_gets_a_span_per_call_below_his_own_which_stays_his_own()
    {
        using var source = new ActivitySource("CallEndedTests");
        var spans = new ConcurrentQueue<Activity>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = heard => heard.Name is ContainerdClient.ActivitySourceName or "CallEndedTests",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
            ActivityStopped = spans.Enqueue,
        };
        ActivitySource.AddActivityListener(listener);
        await using var client = await shared.ConnectAsync();

        using (var own = source.StartActivity("own"))
        {
            await client.VersionAsync(Stop);
            Assert.Same(own, Activity.Current);
            await Assert.ThrowsAsync<ContainerdException>(() => client.GetContainerAsync(SharedDaemon.NewId(), Stop));
            Assert.Same(own, Activity.Current);
        }

        var parent = spans.Single(span => span.OperationName == "own");
        var below = spans.Where(span => span.ParentSpanId == parent.SpanId).ToDictionary(span => span.OperationName); // other tests of this process are heard as well
        Assert.Equal(["Containers.Get", "Version.Version"], below.Keys.Order());
        Assert.Equal((ActivityStatusCode.Unset, ActivityKind.Client), (below["Version.Version"].Status, below["Version.Version"].Kind));
        Assert.Equal((ActivityStatusCode.Error, "NotFound"), (below["Containers.Get"].Status, below["Containers.Get"].StatusDescription));
    }
}
