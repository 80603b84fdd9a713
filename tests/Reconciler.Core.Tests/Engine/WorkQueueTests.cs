using Microsoft.Extensions.Time.Testing;
using Reconciler.Core.Engine;
using Reconciler.Core.Model;

namespace Reconciler.Core.Tests.Engine;

/// <summary>The cells of the queue's table, on virtual time.</summary>
public sealed class WorkQueueTests : IDisposable
{
    private static readonly ResourceKey A = ResourceKey.Image("a");
    private static readonly ResourceKey B = ResourceKey.Image("b");
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly FakeTimeProvider _time = new();
    private readonly WorkQueue<ResourceKey> _queue;

    public WorkQueueTests() => _queue = new WorkQueue<ResourceKey>(_time);

    public void Dispose() => _queue.Dispose();

    private static TimeSpan Seconds(double seconds) => TimeSpan.FromSeconds(seconds);

    /// <summary>The next due key without waiting, or null.</summary>
    private async Task<WorkLease<ResourceKey>?> TakeDueAsync()
    {
        using var now = new CancellationTokenSource();
        var take = _queue.TakeAsync(now.Token).AsTask();
        if (take.IsCompleted) return await take;
        await now.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => take);
        return null;
    }

    private async Task<WorkLease<ResourceKey>> TakeAsync() => await TakeDueAsync() ?? throw new InvalidOperationException("nothing is due");

    /// <summary>Asserts that a key becomes due at this many seconds from now and not a moment before.</summary>
    private async Task<WorkLease<ResourceKey>> DueAfterAsync(double seconds)
    {
        if (seconds > 0)
        {
            _time.Advance(Seconds(seconds) - TimeSpan.FromMilliseconds(1));
            Assert.Null(await TakeDueAsync());
            _time.Advance(TimeSpan.FromMilliseconds(1));
        }
        return await TakeAsync();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_turn_ends_with_a_taker_and_not_without(bool takerWaits)
    {
        using var stop = new CancellationTokenSource();
        var taking = takerWaits ? _queue.TakeAsync(stop.Token).AsTask() : null;
        var turn = _queue.TurnAsync(TestContext.Current.CancellationToken);
        if (taking is null)
        {
            _queue.Add(A, Trigger.Hint);
            Assert.False(turn.IsCompleted);
            using var lease = await TakeAsync();
        }
        await turn.WaitAsync(Limit, TestContext.Current.CancellationToken);
        Assert.False(taking?.IsCompleted ?? false); // nothing was due

        await stop.CancelAsync();
        if (taking is not null) await Assert.ThrowsAnyAsync<OperationCanceledException>(() => taking);
        var last = _queue.TurnAsync(TestContext.Current.CancellationToken);
        _queue.Add(B, Trigger.Hint);
        Assert.False(last.IsCompleted); // nobody takes any more
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public async Task Absent_Add_is_queued_for_its_time(double delay)
    {
        _queue.Add(A, Trigger.Hint, Seconds(delay));
        Assert.Equal(A, (await DueAfterAsync(delay)).Key);
        Assert.Null(await TakeDueAsync());
    }

    [Theory]
    [InlineData(5, 2, 2)]
    [InlineData(2, 5, 2)]
    public async Task Queued_Add_takes_the_earlier_time(double first, double second, double due)
    {
        _queue.Add(A, Trigger.Hint, Seconds(first));
        _queue.Add(A, Trigger.Hint, Seconds(second));
        using var lease = await DueAfterAsync(due);
        _time.Advance(Seconds(60));
        Assert.Null(await TakeDueAsync());
    }

    [Fact]
    public async Task A_taken_key_is_not_given_twice()
    {
        _queue.Add(A, Trigger.Hint);
        using var lease = await TakeAsync();
        _queue.Add(A, Trigger.Declared);
        _queue.Add(A, Trigger.Exit);
        Assert.Null(await TakeDueAsync());
    }

    [Fact]
    public async Task Running_Complete_none_is_absent_and_attempts_are_forgotten()
    {
        _queue.Add(A, Trigger.Hint);
        (await TakeAsync()).Fail(Seconds(1));
        (await DueAfterAsync(1)).Rest(null);
        _time.Advance(Seconds(3600));
        Assert.Null(await TakeDueAsync());
        _queue.Add(A, Trigger.Hint);
        Assert.Equal(0, (await TakeAsync()).Attempt);
    }

    [Fact]
    public async Task Running_Complete_after_is_queued_for_then()
    {
        _queue.Add(A, Trigger.Hint);
        (await TakeAsync()).Rest(Seconds(4));
        Assert.Equal(0, (await DueAfterAsync(4)).Attempt);
    }

    [Theory]
    [InlineData(Trigger.Hint)]
    [InlineData(Trigger.Exit)]
    [InlineData(Trigger.Declared)]
    public async Task RunningDirty_Complete_none_is_queued_for_the_Add(Trigger trigger)
    {
        _queue.Add(A, Trigger.Hint);
        var lease = await TakeAsync();
        _queue.Add(A, trigger, Seconds(6));
        _queue.Add(A, trigger, Seconds(3));
        lease.Rest(null);
        await DueAfterAsync(3);
    }

    [Theory]
    [InlineData(2, 5, 2)]
    [InlineData(5, 2, 2)]
    public async Task RunningDirty_Complete_after_takes_the_earlier(double added, double after, double due)
    {
        _queue.Add(A, Trigger.Hint);
        var lease = await TakeAsync();
        _queue.Add(A, Trigger.Exit, Seconds(added));
        lease.Rest(Seconds(after));
        await DueAfterAsync(due);
    }

    [Fact]
    public async Task A_failure_counts_and_hints_do_not_shorten_its_wait()
    {
        _queue.Add(A, Trigger.Hint);
        var lease = await TakeAsync();
        _queue.Add(A, Trigger.Hint);
        lease.Fail(Seconds(8));
        _queue.Add(A, Trigger.Hint);
        var second = await DueAfterAsync(8);
        Assert.Equal(1, second.Attempt);
        second.Fail(Seconds(16));
        Assert.Equal(2, (await DueAfterAsync(16)).Attempt);
    }

    [Fact]
    public async Task An_exit_shortens_the_wait_after_a_failure_and_keeps_the_count()
    {
        _queue.Add(A, Trigger.Hint);
        (await TakeAsync()).Fail(Seconds(300));
        _queue.Add(A, Trigger.Exit);
        var second = await TakeAsync();
        Assert.Equal(1, second.Attempt);
        _queue.Add(A, Trigger.Exit);
        second.Fail(Seconds(300));
        Assert.Equal(2, (await TakeAsync()).Attempt);
    }

    [Fact]
    public async Task A_declaration_ends_the_wait_and_the_count_and_cancels_the_pass_under_way()
    {
        _queue.Add(A, Trigger.Hint);
        (await TakeAsync()).Fail(Seconds(300));
        _queue.Add(A, Trigger.Declared);
        var second = await TakeAsync();
        Assert.Equal(0, second.Attempt);
        _queue.Add(A, Trigger.Exit);
        Assert.False(second.Token.IsCancellationRequested);
        _queue.Add(A, Trigger.Declared);
        Assert.True(second.Token.IsCancellationRequested);
        second.Fail(Seconds(300));
        Assert.Equal(0, (await TakeAsync()).Attempt);
    }

    [Fact]
    public async Task Again_and_Wait_count_by_themselves_and_a_hint_shortens_them()
    {
        _queue.Add(A, Trigger.Hint);
        (await TakeAsync()).Fail(Seconds(1));
        (await DueAfterAsync(1)).Again(Seconds(5));
        _queue.Add(A, Trigger.Hint);
        var second = await TakeAsync();
        Assert.Equal((1, 1, 0), (second.Attempt, second.Passes, second.Waits));
        second.Wait(Seconds(2));
        var third = await DueAfterAsync(2);
        Assert.Equal((1, 1, 1), (third.Attempt, third.Passes, third.Waits));
        third.Rest(Seconds(1));
        var fourth = await DueAfterAsync(1);
        Assert.Equal((0, 0, 0), (fourth.Attempt, fourth.Passes, fourth.Waits));
    }

    [Fact]
    public async Task Restore_goes_on_where_an_earlier_run_was()
    {
        _queue.Add(A, Trigger.Hint);
        _queue.Restore(A, 5, Seconds(30));
        _queue.Add(A, Trigger.Hint);
        Assert.Equal(5, (await DueAfterAsync(30)).Attempt);
    }

    [Fact]
    public async Task Restore_ends_the_pass_under_way()
    {
        _queue.Add(A, Trigger.Hint);
        using var lease = await TakeAsync();
        _queue.Restore(A, 5, Seconds(30));
        Assert.True(lease.Token.IsCancellationRequested);
        lease.Again(TimeSpan.Zero);
        _queue.Add(A, Trigger.Hint);
        Assert.Equal(5, (await DueAfterAsync(30)).Attempt);
    }

    [Fact]
    public async Task Exits_go_first_then_the_longest_waiting()
    {
        var exit = ResourceKey.Image("exit");
        _queue.Add(A, Trigger.Declared);
        _queue.Add(B, Trigger.Hint);
        _queue.Add(exit, Trigger.Exit);
        Assert.Equal([exit, A, B], new[] { (await TakeAsync()).Key, (await TakeAsync()).Key, (await TakeAsync()).Key });
    }

    [Fact]
    public async Task An_exit_moves_a_queued_key_forward()
    {
        _queue.Add(A, Trigger.Hint);
        _queue.Add(B, Trigger.Hint);
        _queue.Add(B, Trigger.Exit);
        Assert.Equal(B, (await TakeAsync()).Key);
        Assert.Equal(A, (await TakeAsync()).Key);
        Assert.Null(await TakeDueAsync());
    }

    [Fact]
    public async Task A_waiting_taker_is_woken_by_an_Add_by_time_and_by_the_end_of_a_lease()
    {
        var first = _queue.TakeAsync(TestContext.Current.CancellationToken).AsTask();
        _queue.Add(A, Trigger.Hint);
        var lease = await first.WaitAsync(Limit, TestContext.Current.CancellationToken);
        var second = _queue.TakeAsync(TestContext.Current.CancellationToken).AsTask();
        lease.Again(TimeSpan.Zero);
        lease = await second.WaitAsync(Limit, TestContext.Current.CancellationToken);
        lease.Rest(Seconds(10));
        var third = _queue.TakeAsync(TestContext.Current.CancellationToken).AsTask();
        Assert.False(third.IsCompleted);
        _time.Advance(Seconds(10));
        Assert.Equal(A, (await third.WaitAsync(Limit, TestContext.Current.CancellationToken)).Key);
    }

    [Fact]
    public async Task A_time_beyond_the_longest_timer_is_reached()
    {
        _queue.Add(A, Trigger.Hint, TimeSpan.FromDays(100));
        var take = _queue.TakeAsync(TestContext.Current.CancellationToken).AsTask();
        for (var day = 0; day < 99; day++) _time.Advance(TimeSpan.FromDays(1));
        Assert.False(take.IsCompleted);
        _time.Advance(TimeSpan.FromDays(1));
        await take.WaitAsync(Limit, TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Stop_ends_the_waiting_and_every_lease()
    {
        using var stop = new CancellationTokenSource();
        _queue.Add(A, Trigger.Hint);
        using var lease = await _queue.TakeAsync(stop.Token);
        var waiting = _queue.TakeAsync(stop.Token).AsTask();
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        Assert.True(lease.Token.IsCancellationRequested);
    }

    [Fact]
    public async Task It_tells_how_many_keys_wait_for_what_and_a_lease_how_long_its_key_was_due()
    {
        _queue.Add(A, Trigger.Declared);
        _queue.Add(B, Trigger.Hint, Seconds(10));
        Assert.Equal(new QueueDepth(Due: 1, Later: 1, Taken: 0), _queue.Depth);
        _time.Advance(Seconds(3));

        using var lease = await TakeAsync();

        Assert.Equal(Seconds(3), lease.Waited);
        Assert.Equal(new QueueDepth(Due: 0, Later: 1, Taken: 1), _queue.Depth);
        _queue.Add(A, Trigger.Declared); // wanted again after the lease: still one key
        Assert.Equal(new QueueDepth(Due: 0, Later: 1, Taken: 1), _queue.Depth);
        _time.Advance(Seconds(7));
        Assert.Equal(new QueueDepth(Due: 1, Later: 0, Taken: 1), _queue.Depth);
    }

    [Fact]
    public async Task A_lease_ends_once()
    {
        _queue.Add(A, Trigger.Hint);
        using (var lease = await TakeAsync())
        {
            lease.Rest(null);
            Assert.Throws<InvalidOperationException>(() => lease.Rest(null));
        }
        Assert.Null(await TakeDueAsync());
    }

    [Fact]
    public async Task A_lease_that_nobody_ended_comes_back()
    {
        _queue.Add(A, Trigger.Hint);
        (await TakeAsync()).Dispose();
        Assert.Equal(1, (await TakeAsync()).Passes);
    }
}
