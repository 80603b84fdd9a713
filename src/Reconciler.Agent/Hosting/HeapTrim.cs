using Reconciler.Core.Engine;

namespace Reconciler.Agent.Hosting;

/// <summary>
/// Gives back what a burst of work took once all is quiet. Nothing else would: an agent at rest allocates too little for a collection, and only
/// a collection returns memory to the system.
/// </summary>
internal static class HeapTrim
{
    public static readonly TimeSpan Quiet = TimeSpan.FromSeconds(5);

    /// <param name="changed">Raised with each piece of work.</param>
    /// <param name="trim">Called once after each burst: <see cref="Collect"/>.</param>
    /// <param name="time">Clock of the wait.</param>
    /// <param name="stop">Ends it.</param>
    public static async Task RunAsync(ChangeSignal changed, Action trim, TimeProvider time, CancellationToken stop)
    {
        while (true)
        {
            var next = changed.Next;
            await Task.Delay(Quiet, time, stop);
            if (next.IsCompleted) continue;
            trim();
            await next.WaitAsync(stop);
        }
    }

    /// <summary>Some milliseconds, in which the process stands still.</summary>
    public static void Collect() => GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
}
