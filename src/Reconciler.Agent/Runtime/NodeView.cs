using Reconciler.Containerd;
using Reconciler.Core.Model;
using Reconciler.Core.Ports;
using TaskStatus = Reconciler.Containerd.TaskStatus;

namespace Reconciler.Agent.Runtime;

/// <summary>
/// The node in memory: renewed as a whole by lists, kept by verbs and events in between. Every note carries a tick, and a list never undoes
/// what was noted after it began.
/// </summary>
internal sealed class NodeView(Cgroups cgroups, TimeProvider time)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, ContainerEntry> _containers = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ActualImage> _images = new(StringComparer.Ordinal);

    /// <summary>Ids and image names that went, with the tick of it: a list under way may still have them.</summary>
    private readonly Dictionary<string, long> _gone = new(StringComparer.Ordinal);
    private readonly Dictionary<string, long> _imageStamps = new(StringComparer.Ordinal);

    /// <summary>Digests whose layers are not unpacked, as a failed create told.</summary>
    private readonly HashSet<string> _packed = new(StringComparer.Ordinal);
    private long _tick;
    private int _lists;
    private long _gap;
    private long _listed = -1;

    /// <summary>A full list was merged that began after the last gap.</summary>
    public bool IsComplete
    {
        get
        {
            lock (_gate) return _listed >= _gap;
        }
    }

    /// <summary>With the recorded process in every answer.</summary>
    public bool Explained { get; set; }

    /// <summary>Something may have changed that nobody told.</summary>
    public void Gap()
    {
        lock (_gate) _gap = ++_tick;
    }

    /// <summary>To be called before the first RPC of a list; its result goes to <see cref="Merge"/>.</summary>
    public long BeginList()
    {
        lock (_gate)
        {
            _lists++;
            return _tick;
        }
    }

    /// <summary>To be called when a begun list failed.</summary>
    public void AbandonList()
    {
        lock (_gate) EndList();
    }

    public void Merge(long began, IReadOnlyList<ContainerInfo> records, IReadOnlyList<TaskInfo> tasks, IReadOnlyList<ActualImage> images)
    {
        lock (_gate)
        {
            var byId = tasks.ToDictionary(task => task.Id, StringComparer.Ordinal);
            var listed = new HashSet<string>(StringComparer.Ordinal);
            foreach (var record in records)
            {
                listed.Add(record.Id);
                if (!Overrules(began, record.Id)) continue;
                Set(Read(record, byId.GetValueOrDefault(record.Id)));
            }
            foreach (var id in _containers.Keys.Where(id => !listed.Contains(id) && Overrules(began, id)).ToList()) _containers.Remove(id);
            MergeImages(began, images);
            EndList();
            _listed = Math.Max(_listed, began);
        }
    }

    /// <summary>The whole node from memory.</summary>
    public NodeObservation Observation() => Observation(Explained);

    /// <param name="explained">With the recorded process of each container.</param>
    public NodeObservation Observation(bool explained)
    {
        lock (_gate) return NodeObservation.From(_containers.Values.Select(entry => entry.ToActual(explained)), Unpacked());
    }

    /// <summary>One key from memory.</summary>
    public Actual Find(ResourceKey key, string? image)
    {
        lock (_gate)
        {
            var name = image ?? (key.Kind == ResourceKind.Image ? key.Name : null);
            var record = name is null ? null : _images.GetValueOrDefault(name);
            var containers = _containers.Values
                .Where(entry => key.Kind == ResourceKind.Container
                    ? entry.Key == key
                    : entry.ImageReference == key.Name || entry.ImageDigest == record?.Digest)
                .Select(entry => entry.ToActual(Explained))
                .ToList();
            var digests = containers.Select(container => container.ImageDigest).ToHashSet(StringComparer.Ordinal);
            var images = Unpacked().Where(candidate => candidate.Reference == name || digests.Contains(candidate.Digest));
            return NodeObservation.From(containers, images).Find(key, image);
        }
    }

    public IReadOnlyList<ContainerEntry> Entries(Func<ContainerEntry, bool> which)
    {
        lock (_gate) return [.. _containers.Values.Where(which)];
    }

    public ContainerEntry? Entry(string id)
    {
        lock (_gate) return _containers.GetValueOrDefault(id);
    }

    public ActualImage? Image(string name)
    {
        lock (_gate) return _images.GetValueOrDefault(name);
    }

    /// <summary>A record with this digest, <paramref name="preferred"/> if it is one.</summary>
    public ActualImage? ImageWith(string digest, string preferred)
    {
        lock (_gate)
        {
            var candidates = Unpacked().Where(image => image.Digest == digest).ToList();
            return candidates.Find(image => image.Reference == preferred) ?? candidates.FirstOrDefault();
        }
    }

    /// <summary>Puts or replaces an entry.</summary>
    public void Put(ContainerEntry entry)
    {
        lock (_gate) Set(entry);
    }

    /// <summary>Changes an entry that is there.</summary>
    /// <returns>The new one; null = it is not known.</returns>
    public ContainerEntry? Change(string id, Func<ContainerEntry, ContainerEntry> change)
    {
        lock (_gate)
        {
            if (!_containers.TryGetValue(id, out var entry)) return null;
            return Set(change(entry));
        }
    }

    public void Remove(string id)
    {
        lock (_gate)
        {
            _containers.Remove(id);
            if (_lists > 0) _gone[id] = ++_tick;
        }
    }

    /// <summary>What a read of one container gave; nothing while a verb works on it.</summary>
    /// <param name="began">The tick before the read.</param>
    public void Renew(long began, string id, ContainerInfo? record, TaskInfo? task)
    {
        lock (_gate)
        {
            if (!Overrules(began, id)) return;
            if (record is null || !Labels.IsManaged(record.Labels)) _containers.Remove(id);
            else Set(Read(record, task));
        }
    }

    public long Tick()
    {
        lock (_gate) return _tick;
    }

    public void PutImage(ActualImage image, bool unpacked)
    {
        lock (_gate)
        {
            _images[image.Reference] = image;
            _imageStamps[image.Reference] = ++_tick;
            if (unpacked) _packed.Remove(image.Digest);
        }
    }

    public void RemoveImage(string name)
    {
        lock (_gate)
        {
            _images.Remove(name);
            _imageStamps[name] = ++_tick;
        }
    }

    /// <summary>Its layers are not there as snapshots: to the planner it is not present.</summary>
    public void MarkPacked(string digest)
    {
        lock (_gate) _packed.Add(digest);
    }

    private void EndList()
    {
        if (--_lists > 0) return;
        _gone.Clear();
        _imageStamps.Clear();
    }

    private void MergeImages(long began, IReadOnlyList<ActualImage> images)
    {
        var listed = images.ToDictionary(image => image.Reference, StringComparer.Ordinal);
        foreach (var name in _images.Keys.Union(listed.Keys).Where(name => _imageStamps.GetValueOrDefault(name) <= began).ToList())
        {
            if (listed.TryGetValue(name, out var image)) _images[name] = image;
            else _images.Remove(name);
        }
        _packed.IntersectWith(_images.Values.Select(image => image.Digest).ToHashSet(StringComparer.Ordinal));
    }

    private IEnumerable<ActualImage> Unpacked() => _images.Values.Where(image => !_packed.Contains(image.Digest));

    private bool Overrules(long began, string id)
    {
        if (_gone.TryGetValue(id, out var went) && went > began) return false;
        return !_containers.TryGetValue(id, out var entry) || (!entry.Busy && entry.Stamp <= began);
    }

    private ContainerEntry Read(ContainerInfo record, TaskInfo? task)
    {
        var before = _containers.GetValueOrDefault(record.Id);
        return new ContainerEntry(record.Id, record.Labels, record.CreatedAt, task)
        {
            Process = record.Extensions.TryGetValue(Labels.ProcessExtension, out var process) ? process.Value : before?.Process ?? default,
            LogBroken = before?.LogBroken ?? false,
            Oom = before?.Oom ?? false,
            UnknownSince = before?.UnknownSince,
        };
    }

    private ContainerEntry Set(ContainerEntry entry)
    {
        // A task that is gone without a word is dead only once its cgroup is empty.
        var populated = entry.Task is null && !entry.ExitRecorded && cgroups.IsPopulated(entry.Id);
        // Asked while the task is there: its cgroup goes with it.
        var oom = entry.Oom || (entry is { Task: { Status: TaskStatus.Stopped, ExitCode: not 0 }, ExitRecorded: false } && cgroups.OomKilled(entry.Id));
        entry = entry with { Populated = populated, Oom = oom, Stamp = ++_tick };
        var unknown = entry.State == ContainerState.Unknown;
        entry = entry with { UnknownSince = unknown ? entry.UnknownSince ?? time.GetUtcNow() : null };
        return _containers[entry.Id] = entry;
    }
}
