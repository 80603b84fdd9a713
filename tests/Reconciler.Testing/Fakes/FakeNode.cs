using Reconciler.Core.Model;
using Reconciler.Core.Ports;

namespace Reconciler.Testing.Fakes;

/// <summary>
/// A node in memory: what exists whether or not an agent runs, and what happens to it from outside.
/// <see cref="FakeRuntime"/> is one agent's hold on it.
/// </summary>
public sealed class FakeNode(TimeProvider time)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, ActualContainer> _containers = [];
    private readonly Dictionary<string, ActualImage> _images = [];
    private readonly List<string> _violations = [];
    private int _pid = 100;

    /// <summary>What every tag points to. A reference that is missing does not exist.</summary>
    public Dictionary<string, string> Registry { get; } = [];

    public bool RegistryAway { get; set; }

    /// <summary>Keys whose process ignores the stop signal.</summary>
    public HashSet<ResourceKey> IgnoresStop { get; } = [];

    /// <summary>Raised outside of the lock, after the change.</summary>
    public event Action<RuntimeEvent>? Happened;

    public TimeProvider Time { get; } = time;

    /// <summary>What must never happen and did.</summary>
    public IReadOnlyList<string> Violations
    {
        get
        {
            lock (_lock) return [.. _violations];
        }
    }

    public NodeObservation Observation
    {
        get
        {
            lock (_lock) return NodeObservation.From(_containers.Values, _images.Values);
        }
    }

    public IReadOnlyList<ActualContainer> Containers
    {
        get
        {
            lock (_lock) return [.. _containers.Values.OrderBy(c => c.Id, StringComparer.Ordinal)];
        }
    }

    public IReadOnlyList<ActualImage> Images
    {
        get
        {
            lock (_lock) return [.. _images.Values];
        }
    }

    public ActualContainer? Running(ResourceKey key) =>
        Containers.SingleOrDefault(c => c.Key == key && c.State == ContainerState.Running);

    public void Put(ActualContainer container)
    {
        lock (_lock) _containers[container.Id] = container;
    }

    public void Put(ActualImage image)
    {
        lock (_lock) _images[image.Reference] = image;
    }

    /// <summary>Everything of the key that runs ends by itself.</summary>
    public void Exit(ResourceKey key, int? code, string reason = "")
    {
        foreach (var container in Containers.Where(c => c.Key == key && c.IsLive)) End(container.Id, code, reason);
    }

    public void DeleteTask(string id)
    {
        lock (_lock)
        {
            if (_containers.TryGetValue(id, out var c)) _containers[id] = c with { State = ContainerState.NoTask, Pid = 0 };
        }
    }

    public void DeleteRecord(string id)
    {
        lock (_lock) _containers.Remove(id);
    }

    public void DeleteImage(string reference)
    {
        lock (_lock) _images.Remove(reference);
    }

    public void Raise(RuntimeEvent happened) => Happened?.Invoke(happened);

    internal ActualContainer? Get(string id)
    {
        lock (_lock) return _containers.GetValueOrDefault(id);
    }

    internal ActualImage? GetImage(string reference)
    {
        lock (_lock) return _images.GetValueOrDefault(reference);
    }

    internal void Change(string id, Func<ActualContainer, ActualContainer> change)
    {
        lock (_lock)
        {
            if (_containers.TryGetValue(id, out var c)) _containers[id] = change(c);
        }
    }

    internal void End(string id, int? code, string reason)
    {
        ResourceKey key;
        lock (_lock)
        {
            if (!_containers.TryGetValue(id, out var c) || !c.IsLive) return;
            var word = reason.Length > 0 ? reason : code == 0 ? "Completed" : "Error";
            _containers[id] = c with { State = ContainerState.Exited, ExitCode = code, FinishedAt = Time.GetUtcNow(), Reason = word, Pid = 0, UnknownSince = null };
            key = c.Key;
        }
        Raise(new RuntimeEvent.Changed(key, Exit: true));
    }

    internal void Start(string id)
    {
        lock (_lock)
        {
            var c = _containers[id];
            if (_containers.Values.Any(o => o.Id != id && o.Key == c.Key && o.IsLive)) _violations.Add($"{c.Key}: {id} started beside a live copy");
            _containers[id] = c with { State = ContainerState.Running, StartedAt = Time.GetUtcNow(), Pid = ++_pid };
        }
    }

    internal void Remove(string id)
    {
        lock (_lock)
        {
            if (_containers.TryGetValue(id, out var c) && c.IsLive) _violations.Add($"{c.Key}: {id} deleted alive");
            _containers.Remove(id);
        }
    }

    internal void Violate(string what)
    {
        lock (_lock) _violations.Add(what);
    }
}
