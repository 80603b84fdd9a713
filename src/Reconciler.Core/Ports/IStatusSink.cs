using Reconciler.Core.Model;
using Reconciler.Core.Planning;

namespace Reconciler.Core.Ports;

/// <summary>Where the newest outcome per key goes: state.json, the log, later the API. Never blocks the loop, never throws.</summary>
public interface IStatusSink
{
    /// <summary>Every key with a report that was not forgotten, those of an earlier run included.</summary>
    IReadOnlyCollection<ResourceKey> Known { get; }

    /// <summary>What was found at a key and is now to be done about it, before the first action of the pass.</summary>
    void Begin(PlannedKey planned);

    void Report(StatusReport report);

    /// <summary>What an earlier run of the agent left about a key's failures, so that a restart does not retry at once.</summary>
    KeyMemory? Recall(ResourceKey key);

    /// <summary>The key is neither declared nor present any more.</summary>
    void Forget(ResourceKey key);
}

/// <param name="Actions">What was carried out in this pass, failures included as the last one.</param>
/// <param name="Attempt">Failed attempts in a row for this key; 0 after success.</param>
/// <param name="NextTry">When it is tried again by itself; null = on the next event.</param>
/// <param name="Failed">This pass did not succeed; where it acted, its last action is the one that failed.</param>
public sealed record StatusReport(
    ResourceKey Key, Condition Condition, EquatableArray<NodeAction> Actions, int Attempt, DateTimeOffset? NextTry, DateTimeOffset At, string SpecHash,
    bool Failed = false);

/// <param name="SpecHash">The declaration the failures belong to; a changed one starts afresh.</param>
public sealed record KeyMemory(int Attempt, DateTimeOffset? NextTry, string SpecHash, Condition Condition);
