using Reconciler.Core.Engine;

namespace Reconciler.Core.Tests.Engine;

public sealed class RuncGateTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task At_most_the_given_number_is_inside_and_heals_go_first()
    {
        var gate = new RuncGate(2);
        var first = await gate.EnterAsync(false, Cancellation);
        var second = await gate.EnterAsync(false, Cancellation);
        var create = gate.EnterAsync(false, Cancellation).AsTask();
        var heal = gate.EnterAsync(true, Cancellation).AsTask();
        Assert.False(create.IsCompleted || heal.IsCompleted);
        first.Dispose();
        var healed = await heal.WaitAsync(Limit, Cancellation);
        Assert.False(create.IsCompleted);
        second.Dispose();
        (await create.WaitAsync(Limit, Cancellation)).Dispose();
        healed.Dispose();
        var third = gate.EnterAsync(false, Cancellation).AsTask();
        var fourth = gate.EnterAsync(false, Cancellation).AsTask();
        Assert.True(third.IsCompleted && fourth.IsCompleted);
    }

    [Fact]
    public async Task Who_stops_waiting_takes_no_slot()
    {
        var gate = new RuncGate(1);
        var inside = await gate.EnterAsync(false, Cancellation);
        using var impatient = new CancellationTokenSource();
        var waiting = gate.EnterAsync(true, impatient.Token).AsTask();
        var next = gate.EnterAsync(false, Cancellation).AsTask();
        await impatient.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        inside.Dispose();
        await next.WaitAsync(Limit, Cancellation);
    }

    [Fact]
    public async Task A_slot_given_back_twice_counts_once()
    {
        var gate = new RuncGate(1);
        var inside = await gate.EnterAsync(false, Cancellation);
        inside.Dispose();
        inside.Dispose();
        await gate.EnterAsync(false, Cancellation);
        Assert.False(gate.EnterAsync(false, Cancellation).AsTask().IsCompleted);
    }
}
