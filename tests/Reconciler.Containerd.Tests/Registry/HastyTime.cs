namespace Reconciler.Containerd.Tests.Registries;

/// <summary>The real clock, on which the delays between attempts pass at once; limits of a minute and more stay.</summary>
internal sealed class HastyTime : TimeProvider
{
    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
        base.CreateTimer(callback, state, dueTime > TimeSpan.Zero && dueTime < TimeSpan.FromSeconds(59) ? TimeSpan.FromMilliseconds(1) : dueTime, period);
}
