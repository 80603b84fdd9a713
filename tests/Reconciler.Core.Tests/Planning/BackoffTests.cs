using Reconciler.Core.Planning;

namespace Reconciler.Core.Tests.Planning;

public sealed class BackoffTests
{
    [Theory]
    [InlineData(-1, 0)]
    [InlineData(0, 0)]
    [InlineData(1, 1)]
    [InlineData(2, 2)]
    [InlineData(9, 256)]
    [InlineData(10, 300)]
    [InlineData(int.MaxValue, 300)]
    public void A_restart_waits_one_second_doubling_to_five_minutes(int failures, double seconds) =>
        Assert.Equal(TimeSpan.FromSeconds(seconds), Backoff.AfterExit(failures));

    [Theory]
    [InlineData(1, 0, 1)]
    [InlineData(1, 1, 0.8)]
    [InlineData(4, 0.5, 7.2)]
    [InlineData(1000, 0, 300)]
    [InlineData(3, 7, 3.2)]
    public void A_retry_is_up_to_a_fifth_earlier_by_jitter(int attempt, double jitter, double seconds) =>
        Assert.Equal(TimeSpan.FromSeconds(seconds), Backoff.AfterFailure(attempt, jitter));

    [Theory]
    [InlineData(1, 0.25)]
    [InlineData(4, 2)]
    [InlineData(99, 10)]
    public void An_absent_runtime_is_asked_again_soon(int attempt, double seconds) =>
        Assert.Equal(TimeSpan.FromSeconds(seconds), Backoff.WhileUnavailable(attempt));
}
