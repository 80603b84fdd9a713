using System.Collections.Immutable;
using System.Text;
using Reconciler.Core.Model;
using Reconciler.Core.Ports;
using Reconciler.Sources.Manifests;

namespace Reconciler.Sources.Kubernetes;

/// <summary>A NodeWorkload of the cluster and what this node makes of it.</summary>
/// <param name="Object">As the server has it.</param>
/// <param name="Problems">Why it was refused, and remarks.</param>
/// <param name="Refused">It passed the server's schema and cannot be carried out here; its last good version stays.</param>
/// <param name="Resources">What applies: of this version, or of the last good one.</param>
public sealed record ClusterWorkload(ClusterObject Object, ImmutableArray<Problem> Problems, bool Refused, ImmutableArray<DesiredResource> Resources);

/// <summary>What a reflector knows and what the node remembers to the state the cluster declares. Pure but for a cache of readings.</summary>
internal sealed class ClusterMerge(ManifestOptions options)
{
    public const string Source = "kubernetes";

    private readonly ManifestOptions _options = options with { Cluster = true };
    private ImmutableDictionary<ObjectName, (ClusterObject Object, ManifestFile File)> _read = ImmutableDictionary<ObjectName, (ClusterObject, ManifestFile)>.Empty;

    public sealed record Result(SourceState State, ClusterMemory Memory, ImmutableDictionary<ObjectName, ClusterWorkload> Workloads);

    /// <param name="cluster">From the reflector.</param>
    /// <param name="memory">Of the last merge, or from disk.</param>
    /// <param name="acceptLoss">Someone said that what an older server lacks may go.</param>
    public Result Merge(ClusterState cluster, ClusterMemory memory, bool acceptLoss)
    {
        if (!cluster.IsListed) return new Result(Remembered(memory, cluster.Doubt), memory, ImmutableDictionary<ObjectName, ClusterWorkload>.Empty);
        var regressed = !acceptLoss && (memory.Regressed || ResourceVersion.Compare(cluster.ResourceVersion, memory.ResourceVersion) < 0);
        Prune(cluster);
        var workloads = cluster.Objects.ToImmutableDictionary(pair => pair.Key, pair => Judge(pair.Value, memory));
        var kept = regressed ? memory.Objects.Where(old => workloads.Keys.All(name => name.ToString() != old.Key)).ToList() : [];
        var objects = workloads.Values.Where(workload => !workload.Object.IsDeleting).Select(workload => (Key: workload.Object.Name.ToString(), Value: Remember(workload, memory)))
            .Where(item => item.Value is not null).Select(item => KeyValuePair.Create(item.Key, item.Value!)).Concat(kept);
        var next = new ClusterMemory(
            regressed ? memory.ResourceVersion : cluster.ResourceVersion, regressed, objects.ToImmutableSortedDictionary(StringComparer.Ordinal));
        var doubt = cluster.Doubt.Length > 0 ? cluster.Doubt : regressed
            ? $"SourceRegressed: the API server is at version {cluster.ResourceVersion}, older than {memory.ResourceVersion} that was seen before; was it restored? "
              + "Nothing is removed on its account (to accept what it has: --accept-data-loss, or the annotation on this node's Lease)"
            : "";
        var resources = workloads.Values.OrderBy(workload => workload.Object.Name.ToString(), StringComparer.Ordinal).SelectMany(workload => workload.Resources)
            .Concat(kept.SelectMany(old => Read(old.Key, old.Value.Document).Documents.SelectMany(document => document.Resources)));
        var state = new SourceState
        {
            Source = Source,
            Synced = doubt.Length == 0,
            Doubt = doubt,
            Resources = WorkloadMapper.Merge(resources),
            Held = workloads.Values.Any(MayRunUnknown) ? [Source] : [],
            Problems = [.. workloads.Values.SelectMany(workload => workload.Problems).OrderBy(problem => problem.File, StringComparer.Ordinal)],
        };
        return new Result(state, next, workloads);
    }

    /// <summary>What the node would run with no server to ask.</summary>
    public SourceState Remembered(ClusterMemory memory, string doubt) => new()
    {
        Source = Source,
        Synced = false,
        Doubt = doubt,
        Resources = WorkloadMapper.Merge(memory.Objects.SelectMany(old => Read(old.Key, old.Value.Document).Documents.SelectMany(document => document.Resources))),
    };

    private ClusterWorkload Judge(ClusterObject current, ClusterMemory memory)
    {
        if (!_read.TryGetValue(current.Name, out var read) || !ReferenceEquals(read.Object, current))
        {
            read = (current, ManifestReader.ReadObject($"{Source} {current.Name}", current.Json, Source, _options));
            _read = _read.SetItem(current.Name, read);
        }
        var refused = read.File.Documents.Any(document => document.Refused);
        var resources = current.IsDeleting ? [] : !refused ? [.. read.File.Documents.SelectMany(document => document.Resources)] : LastGood(current, memory);
        return new ClusterWorkload(current, read.File.Problems, refused, resources);
    }

    private ImmutableArray<DesiredResource> LastGood(ClusterObject current, ClusterMemory memory) =>
        memory.Objects.TryGetValue(current.Name.ToString(), out var old) && old.Uid == current.Uid
            ? [.. Read(current.Name.ToString(), old.Document).Documents.SelectMany(document => document.Resources)]
            : [];

    /// <summary>An earlier version may have been carried out before the memory was lost; of a first version nothing can run.</summary>
    private static bool MayRunUnknown(ClusterWorkload workload) =>
        workload is { Refused: true, Resources.IsEmpty: true, Object: { IsDeleting: false, Generation: > 1 } };

    private static RememberedObject? Remember(ClusterWorkload workload, ClusterMemory memory)
    {
        var old = memory.Objects.GetValueOrDefault(workload.Object.Name.ToString());
        if (workload.Refused) return old is not null && old.Uid == workload.Object.Uid ? old : null;
        return new RememberedObject(workload.Object.Uid, Encoding.UTF8.GetString(workload.Object.Document));
    }

    private ManifestFile Read(string name, string document) => ManifestReader.ReadObject($"{Source} {name}", Encoding.UTF8.GetBytes(document), Source, _options);

    private void Prune(ClusterState cluster)
    {
        foreach (var name in _read.Keys)
            if (!cluster.Objects.ContainsKey(name))
                _read = _read.Remove(name);
    }
}
