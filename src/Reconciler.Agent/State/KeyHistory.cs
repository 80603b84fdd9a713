using Reconciler.Core.Ports;

namespace Reconciler.Agent.State;

/// <summary>Folds a report into what is kept about its key. Pure.</summary>
internal static class KeyHistory
{
    /// <summary>The same object when the report says nothing new.</summary>
    public static KeyState Merge(KeyState? before, StatusReport report)
    {
        var same = before is not null && before.Ready == report.Condition.Ready && before.Reason == report.Condition.Reason;
        if (same && before!.Message == report.Condition.Message && before.Attempt == report.Attempt && before.NextTry == report.NextTry
            && before.SpecHash == report.SpecHash && report.Actions.Count == 0)
        {
            return before;
        }
        var image = report.Actions.Select(ActionText.ImageOf).LastOrDefault(name => name.Length > 0);
        return new KeyState
        {
            Kind = report.Key.Kind,
            Namespace = report.Key.Namespace,
            Name = report.Key.Name,
            Ready = report.Condition.Ready,
            Reason = report.Condition.Reason,
            Message = report.Condition.Message,
            Since = same ? before!.Since : report.At,
            At = report.At,
            Attempt = report.Attempt,
            NextTry = report.NextTry,
            SpecHash = report.SpecHash,
            Image = image ?? before?.Image ?? "",
            Events = Events(before, report),
        };
    }

    private static List<KeyEvent> Events(KeyState? before, StatusReport report)
    {
        List<KeyEvent> events = [.. before?.Events ?? []];
        for (var i = 0; i < report.Actions.Count; i++)
        {
            if (report.Failed && i == report.Actions.Count - 1) break; // told by its condition
            Add(events, new KeyEvent(report.At, false, $"{ActionText.Of(report.Actions[i])} ({report.Actions[i].Reason})"));
        }
        if (report.Failed) Add(events, new KeyEvent(report.At, true, $"{report.Condition.Reason}: {report.Condition.Message}"), $"{report.Condition.Reason}: ");
        if (events.Count > StateSink.MaxEvents) events.RemoveRange(0, events.Count - StateSink.MaxEvents);
        return events;
    }

    /// <summary>Counts up an event that repeats; the messages of failures differ by the container's id.</summary>
    private static void Add(List<KeyEvent> events, KeyEvent added, string? prefix = null)
    {
        if (events.Count > 0 && events[^1] is var last && last.Warning == added.Warning && last.Text.StartsWith(prefix ?? added.Text, StringComparison.Ordinal))
        {
            events[^1] = added with { Count = last.Count + 1 };
            return;
        }
        events.Add(added);
    }
}
