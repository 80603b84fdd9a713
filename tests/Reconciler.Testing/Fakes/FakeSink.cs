using System.Collections.Concurrent;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;

namespace Reconciler.Testing.Fakes;

/// <summary>Keeps every report; <see cref="Memory"/> is what an earlier run left.</summary>
public sealed class FakeSink : IStatusSink
{
    private readonly ConcurrentQueue<StatusReport> _reports = new();
    private readonly ConcurrentQueue<PlannedKey> _begun = new();
    private readonly ConcurrentDictionary<ResourceKey, StatusReport> _latest = new();

    public ConcurrentDictionary<ResourceKey, KeyMemory> Memory { get; } = new();

    public IReadOnlyList<StatusReport> Reports => [.. _reports];

    public IReadOnlyCollection<ResourceKey> Known => [.. _latest.Keys.Union(Memory.Keys)];

    /// <summary>Every pass, noted before its first action.</summary>
    public IReadOnlyList<PlannedKey> Begun => [.. _begun];

    public StatusReport? Latest(ResourceKey key) => _latest.GetValueOrDefault(key);

    public void Begin(PlannedKey planned) => _begun.Enqueue(planned);

    public void Report(StatusReport report)
    {
        _reports.Enqueue(report);
        _latest[report.Key] = report;
    }

    public KeyMemory? Recall(ResourceKey key) => Memory.GetValueOrDefault(key);

    public void Forget(ResourceKey key)
    {
        _latest.TryRemove(key, out _);
        Memory.TryRemove(key, out _);
    }
}
