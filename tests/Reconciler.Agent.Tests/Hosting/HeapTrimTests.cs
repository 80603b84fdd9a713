using Microsoft.Extensions.Time.Testing;
using Reconciler.Agent.Hosting;
using Reconciler.Core.Engine;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.Hosting;

public sealed class HeapTrimTests
{
    private readonly FakeTimeProvider _time = new();
    private readonly ChangeSignal _changed = new();
    private int _trims;

    [Fact]
    public async Task Memory_is_given_back_once_after_each_burst_and_not_within_it()
    {
        using var stop = new CancellationTokenSource();
        var running = HeapTrim.RunAsync(_changed, () => Interlocked.Increment(ref _trims), _time, stop.Token);
        _changed.Raise();
        _time.Advance(HeapTrim.Quiet); // the burst reached into this period
        Assert.Equal(0, Volatile.Read(ref _trims));
        await TrimmedAsync(1);

        _time.Advance(10 * HeapTrim.Quiet);
        Assert.Equal(1, Volatile.Read(ref _trims)); // nothing has happened since

        _changed.Raise();
        await TrimmedAsync(2);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
    }

    /// <summary>Its waits begin on other threads: time goes on until they are over.</summary>
    private Task TrimmedAsync(int times) => Eventually.UntilAsync(
        () =>
        {
            if (Volatile.Read(ref _trims) < times) _time.Advance(HeapTrim.Quiet);
            return Volatile.Read(ref _trims) == times;
        },
        $"memory is given back {times} times");
}
