using Microsoft.Extensions.Time.Testing;
using Reconciler.Agent.Hosting;

namespace Reconciler.Agent.Tests.Hosting;

public sealed class AgentHealthTests
{
    [Fact]
    public async Task A_loop_that_does_not_come_round_is_stuck_until_it_does()
    {
        var (time, turn) = (new FakeTimeProvider(), new TaskCompletionSource());
        var health = new AgentHealth(cancellation => turn.Task.WaitAsync(cancellation), time);

        var stuck = health.StuckAsync(TestContext.Current.CancellationToken);
        Assert.False(stuck.IsCompleted);
        time.Advance(AgentHealth.TurnLimit);
        Assert.Equal("the reconcile loop has not come round for 5 s", await stuck);

        turn.SetResult();
        Assert.Null(await health.StuckAsync(TestContext.Current.CancellationToken));
    }

    [Fact]
    public void An_agent_that_has_not_got_its_state_yet_says_so() =>
        Assert.StartsWith("Starting", new AgentHealth(_ => Task.CompletedTask, TimeProvider.System).Waiting(), StringComparison.Ordinal);
}
