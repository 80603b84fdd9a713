using System.Threading.Channels;
using Microsoft.Extensions.Time.Testing;

namespace Reconciler.Containerd.Tests.Registries;

/// <summary>Virtual time that tells when a delay begins, so that a test advances neither too early nor too little.</summary>
internal sealed class DelayTime : FakeTimeProvider
{
    private readonly Channel<TimeSpan> _begun = Channel.CreateUnbounded<TimeSpan>();

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = base.CreateTimer(callback, state, dueTime, period);
        _begun.Writer.TryWrite(dueTime);
        return timer;
    }

    /// <summary>The next delay that is shorter than the limits of a request; it has begun.</summary>
    public async Task<TimeSpan> NextAsync(CancellationToken cancellation)
    {
        while (true)
            if (await _begun.Reader.ReadAsync(cancellation) is var due && due > TimeSpan.Zero && due < TimeSpan.FromSeconds(60)) return due;
    }
}
