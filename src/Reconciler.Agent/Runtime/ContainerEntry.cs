using Reconciler.Containerd;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using TaskStatus = Reconciler.Containerd.TaskStatus;

namespace Reconciler.Agent.Runtime;

/// <summary>What is known of one container of ours: its record and its task, as last read, told by an event or left by a verb of ours.</summary>
/// <param name="Id">Container id.</param>
/// <param name="Labels">All labels of the record.</param>
/// <param name="CreatedAt">The record's.</param>
/// <param name="Task">Null = no task.</param>
internal sealed record ContainerEntry(string Id, IReadOnlyDictionary<string, string> Labels, DateTimeOffset CreatedAt, TaskInfo? Task)
{
    /// <summary>The process recorded at creation, unparsed.</summary>
    public ReadOnlyMemory<byte> Process { get; init; }

    /// <summary>A verb of ours works on it: neither a list nor a read overrules what it says.</summary>
    public bool Busy { get; init; }

    /// <summary>An event said that it is not as noted here: read it before the next answer.</summary>
    public bool Dirty { get; init; }

    /// <summary>Noted at this tick of the view; a list that began earlier does not overrule it.</summary>
    public long Stamp { get; init; }

    /// <summary>When it was first seen neither dead nor alive.</summary>
    public DateTimeOffset? UnknownSince { get; init; }

    public bool LogBroken { get; init; }

    /// <summary>The kernel killed a process of it for memory: told by an event or its cgroup's counter.</summary>
    public bool Oom { get; init; }

    /// <summary>It exited while a verb worked on it and nobody was told yet.</summary>
    public bool ExitUntold { get; init; }

    /// <summary>Its task is gone and its cgroup has processes: not dead yet.</summary>
    public bool Populated { get; init; }

    public ResourceKey Key { get; } = ResourceKey.Container(
        Runtime.Labels.String(Labels, Runtime.Labels.Namespace),
        Runtime.Labels.String(Labels, Runtime.Labels.Workload),
        Runtime.Labels.String(Labels, Runtime.Labels.Container));

    public string ImageReference => Runtime.Labels.String(Labels, Runtime.Labels.Image);

    public string ImageDigest => Runtime.Labels.String(Labels, Runtime.Labels.ImageDigest);

    public bool ExitRecorded => Labels.ContainsKey(Runtime.Labels.FinishedAt);

    public ContainerState State => Task?.Status switch
    {
        null when ExitRecorded => ContainerState.Exited,
        null => Populated ? ContainerState.Unknown : ContainerState.NoTask,
        TaskStatus.Created => ContainerState.Created,
        TaskStatus.Running => ContainerState.Running,
        TaskStatus.Paused or TaskStatus.Pausing => ContainerState.Paused,
        TaskStatus.Stopped => ContainerState.Exited,
        _ => ContainerState.Unknown,
    };

    /// <summary>How it ended; empty before.</summary>
    public string Reason => ExitRecorded || Task is not { Status: TaskStatus.Stopped }
        ? Runtime.Labels.String(Labels, Runtime.Labels.Reason)
        : EndReason(Task.ExitCode);

    /// <summary>A process of it may run.</summary>
    public bool MayRun => State is ContainerState.Running or ContainerState.Paused or ContainerState.Unknown;

    /// <param name="explained">With the recorded process, for someone who compares.</param>
    public ActualContainer ToActual(bool explained) => new()
    {
        Id = Id,
        Key = Key,
        SpecHash = Runtime.Labels.String(Labels, Runtime.Labels.SpecHash),
        Source = Runtime.Labels.String(Labels, Runtime.Labels.Source),
        State = State,
        Incarnation = Runtime.Labels.Long(Labels, Runtime.Labels.Incarnation),
        Pid = MayRun ? Task?.Pid ?? 0 : 0,
        CreatedAt = CreatedAt,
        StartedAt = StartedAt,
        FinishedAt = Runtime.Labels.Time(Labels, Runtime.Labels.FinishedAt) ?? (State == ContainerState.Exited ? Task?.ExitedAt : null),
        ExitCode = Runtime.Labels.OptionalInt(Labels, Runtime.Labels.ExitCode) ?? (State == ContainerState.Exited ? Task?.ExitCode : null),
        Reason = Reason,
        Restarts = Runtime.Labels.Int(Labels, Runtime.Labels.Restarts),
        Failures = Runtime.Labels.Int(Labels, Runtime.Labels.Failures),
        StopBy = Runtime.Labels.Time(Labels, Runtime.Labels.StopBy),
        RestartWanted = Labels.ContainsKey(Runtime.Labels.RestartWanted),
        GracePeriod = Runtime.Labels.Span(Labels, Runtime.Labels.Grace) ?? TimeSpan.FromSeconds(30),
        UnknownSince = State == ContainerState.Unknown ? UnknownSince : null,
        ImageReference = ImageReference,
        ImageDigest = ImageDigest,
        ExitRecorded = ExitRecorded,
        LogBroken = LogBroken,
        Process = explained && !Process.IsEmpty ? SpecHash.Parse(Process) : null,
    };

    /// <summary>The label may be missing after a crash of the agent between the start and its note; the record is made right before.</summary>
    private DateTimeOffset? StartedAt => Runtime.Labels.Time(Labels, Runtime.Labels.StartedAt)
        ?? (Task is { Status: not TaskStatus.Created } ? CreatedAt : null);

    public bool BelongsTo(string ns, string workload) =>
        Runtime.Labels.String(Labels, Runtime.Labels.Namespace) == ns && Runtime.Labels.String(Labels, Runtime.Labels.Workload) == workload;

    /// <param name="code">Null = the code was lost.</param>
    public string EndReason(int? code) => code switch
    {
        null => ConditionReason.Unknown,
        0 => ConditionReason.Completed,
        _ => Oom ? ConditionReason.OOMKilled : ConditionReason.Error,
    };

    public ContainerEntry With(IReadOnlyDictionary<string, string> changes)
    {
        var labels = new Dictionary<string, string>(Labels, StringComparer.Ordinal);
        foreach (var (key, value) in changes)
        {
            if (value.Length == 0) labels.Remove(key);
            else labels[key] = value;
        }
        return this with { Labels = labels };
    }
}
