using Reconciler.Agent.State;
using Reconciler.Core.Model;

namespace Reconciler.Agent.Hosting;

/// <summary>Keeps the service manager's status line at the number of containers.</summary>
internal static class ServiceStatus
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    public static async Task RunAsync(StateSink sink, ServiceManager manager, TimeProvider time, CancellationToken stop)
    {
        while (true)
        {
            var next = sink.Changed.Next;
            manager.Tell(Line(sink.Keys().Values));
            await next.WaitAsync(stop);
            await Task.Delay(Pause, time, stop);
        }
    }

    internal static string Line(IEnumerable<KeyState> keys)
    {
        var containers = keys.Where(key => key.Kind == ResourceKind.Container).ToList();
        var waiting = containers.Where(key => !key.Ready).ToList();
        var reasons = waiting.GroupBy(key => key.Reason).OrderBy(group => group.Key, StringComparer.Ordinal).Select(group => $"{group.Key} {group.Count()}");
        return $"reconciling: {containers.Count - waiting.Count} ready, {waiting.Count} waiting" + (waiting.Count > 0 ? $" ({string.Join(", ", reasons)})" : "");
    }
}
