using System.Collections.Concurrent;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;

namespace Reconciler.Core.Engine;

/// <summary>What was last reported per key, so that the sink hears of changes only.</summary>
internal sealed class ConditionBook(IStatusSink status)
{
    private readonly ConcurrentDictionary<ResourceKey, (Condition Condition, int Attempt, DateTimeOffset? NextTry)> _reported = new();
    private readonly ConcurrentDictionary<ResourceKey, KeyMemory> _memories = new();
    private readonly ConcurrentDictionary<ResourceKey, string> _stale = new();

    /// <summary>Reads what an earlier run left, before the first report replaces it.</summary>
    public void Remember()
    {
        foreach (var key in status.Known)
        {
            if (status.Recall(key) is not { } memory) continue;
            _memories[key] = memory;
            if (memory.Condition.Reason == ConditionReason.ImageStale) _stale[key] = memory.Condition.Message;
        }
    }

    /// <summary>What an earlier run left about the key; only the first caller gets it.</summary>
    public KeyMemory? TakeMemory(ResourceKey key) => _memories.TryRemove(key, out var memory) ? memory : null;

    /// <summary>A container's pull says whether its image is stale; this holds until its next pull.</summary>
    public void NoteStale(ResourceKey key, Execution execution, string? stale)
    {
        if (stale is not null) _stale[key] = stale;
        else if (execution.Actions.Any(action => action is NodeAction.PullImage)) _stale.TryRemove(key, out _);
    }

    public bool IsReported(PlannedKey planned) =>
        !IsWorthReporting(planned.Key, planned.Wish, planned.Plan.Actions.Count)
        || (_reported.TryGetValue(planned.Key, out var last) && last == (Shown(planned.Key, planned.Plan.Condition), 0, planned.Plan.LookAgainAt));

    public void Report(StatusReport report, Wish? wish)
    {
        if (!IsWorthReporting(report.Key, wish, report.Actions.Count)) return;
        var shown = report with { Condition = Shown(report.Key, report.Condition) };
        var now = (shown.Condition, shown.Attempt, shown.NextTry);
        if (shown.Actions.Count == 0 && _reported.TryGetValue(report.Key, out var last) && last == now) return;
        _reported[report.Key] = now;
        status.Report(shown);
    }

    public void Forget(ResourceKey key)
    {
        _stale.TryRemove(key, out _);
        _memories.TryRemove(key, out _);
        _reported.TryRemove(key, out _);
        status.Forget(key);
    }

    private Condition Shown(ResourceKey key, Condition condition) =>
        condition.Reason == ConditionReason.Running && _stale.TryGetValue(key, out var why)
            ? new Condition(true, ConditionReason.ImageStale, why)
            : condition;

    /// <summary>Images that nobody declares are told of only while something happens to them.</summary>
    private bool IsWorthReporting(ResourceKey key, Wish? wish, int actions) =>
        key.Kind == ResourceKind.Container || actions > 0 || wish is null or Wish.Declared || _reported.ContainsKey(key);
}
