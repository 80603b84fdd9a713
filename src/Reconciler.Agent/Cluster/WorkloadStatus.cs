using System.Collections.Immutable;
using System.Text.Json;
using Reconciler.Agent.Runtime;
using Reconciler.Agent.State;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Cluster;

/// <summary>One container in the status.</summary>
internal sealed record ContainerStatus
{
    public required string Name { get; init; }

    /// <summary>Waiting, Running or Terminated.</summary>
    public required string State { get; init; }

    public string Reason { get; init; } = "";

    public string Message { get; init; } = "";

    public string ImageId { get; init; } = "";

    public int RestartCount { get; init; }

    public DateTimeOffset? StartedAt { get; init; }

    public DateTimeOffset? FinishedAt { get; init; }

    public int? ExitCode { get; init; }

    /// <summary>How far a pull is; empty = none is under way.</summary>
    public string PullProgress { get; init; } = "";
}

/// <summary>One image that is declared by itself.</summary>
internal sealed record ImageStatus(string Image, bool Present, string Reason, string Message, string ImageId, string PullProgress);

/// <summary>What the node says of one workload: a pure function of the object, the reports and the observation.</summary>
internal sealed record WorkloadStatus
{
    public delegate ObjectCondition Dated(string type, bool isTrue, string reason, string message);

    public required long ObservedGeneration { get; init; }

    public required string Revision { get; init; }

    public required EquatableArray<ObjectCondition> Conditions { get; init; }

    public required EquatableArray<ContainerStatus> Containers { get; init; }

    public EquatableArray<ImageStatus> Images { get; init; }

    /// <summary>Without what moves while nothing happens: how far a pull is.</summary>
    public WorkloadStatus Settled => this with
    {
        Containers = Containers.Select(container => container with { PullProgress = "" }).ToEquatableArray(),
        Images = Images.Select(image => image with { PullProgress = "" }).ToEquatableArray(),
    };

    private static readonly ImmutableHashSet<string> UnderWay =
    [
        ConditionReason.Creating, ConditionReason.Restarting, ConditionReason.Replacing, ConditionReason.Stopping, ConditionReason.Removing, ConditionReason.Pulling,
        ConditionReason.Unknown, ConditionReason.CrashLoopBackOff, ConditionReason.LogBroken, ConditionReason.SourceUnavailable, FailureReason.ContainerdUnavailable,
        ConditionReason.Removed, // said of it before it was declared again
        ObjectReason.Pending,
    ];

    /// <param name="workload">As the cluster has it.</param>
    /// <param name="doubt">Why the source is not in sync; empty = it is.</param>
    /// <param name="report">The newest report of a key; null = none.</param>
    /// <param name="observe">What is there for a key.</param>
    /// <param name="pulls">Under way.</param>
    /// <param name="dated">Makes a condition of type, status, reason and message, and knows since when.</param>
    public static WorkloadStatus Of(
        ClusterWorkload workload, string doubt, Func<ResourceKey, KeyState?> report, Func<ResourceKey, Actual> observe, IReadOnlyList<PullProgress> pulls, Dated dated)
    {
        var parts = workload.Resources.Select(resource => Judge(resource, report(resource.Key), observe(resource.Key), pulls)).ToList();
        return new WorkloadStatus
        {
            ObservedGeneration = workload.Object.Generation,
            Revision = workload.Object.Revision,
            Conditions = [.. ConditionsOf(workload, doubt, parts, dated)],
            Containers = parts.Where(part => part.Container is not null).Select(part => part.Container!).OrderBy(container => container.Name, StringComparer.Ordinal).ToEquatableArray(),
            Images = parts.Where(part => part.Image is not null).Select(part => part.Image!).OrderBy(image => image.Image, StringComparer.Ordinal).ToEquatableArray(),
        };
    }

    /// <summary>Of an object that is being deleted, once nothing of it is left or while something is.</summary>
    public static WorkloadStatus OfDeleted(ClusterWorkload workload, IReadOnlyList<ResourceKey> left, Dated dated) => new()
    {
        ObservedGeneration = workload.Object.Generation,
        Revision = workload.Object.Revision,
        Conditions =
        [
            dated(ConditionType.Ready, false, ObjectReason.Deleting, ""),
            dated(ConditionType.Reconciling, left.Count > 0, ObjectReason.Deleting, left.Count > 0 ? $"stopping {string.Join(", ", left.Select(key => key.Name))}" : ""),
            dated(ConditionType.Stalled, false, ObjectReason.Deleting, ""),
            dated(ConditionType.Stopped, left.Count == 0, left.Count == 0 ? ObjectReason.Stopped : ConditionReason.Stopping, ""),
        ],
        Containers = [],
    };

    /// <param name="Resource">Container or image.</param>
    /// <param name="Ready">It is as declared.</param>
    /// <param name="Working">Something is being done, or waits its turn.</param>
    /// <param name="Failed">Attempts failed, or nothing more is done, or it belongs to another source.</param>
    private sealed record Part(DesiredResource Resource, bool Ready, bool Working, bool Failed, string Reason, string Message, ContainerStatus? Container, ImageStatus? Image);

    private static Part Judge(DesiredResource resource, KeyState? report, Actual actual, IReadOnlyList<PullProgress> pulls)
    {
        var current = report is not null && (resource is not ContainerSpec wanted || report.SpecHash == wanted.Hash);
        var (reason, message) = current ? (report!.Reason, report.Message) : (ObjectReason.Pending, "");
        var failed = current && report!.Attempt > 0;
        var ready = current && (report!.Ready || reason is ConditionReason.Completed or ConditionReason.Suspended);
        if (resource is ContainerSpec { Suspend: var suspend } && current && suspend != (reason is ConditionReason.Suspended))
            (ready, reason, message) = reason is ConditionReason.Suspended || suspend ? (false, ObjectReason.Pending, "") : (ready, reason, message);
        if (actual.SourceLabel.Length > 0 && actual.SourceLabel != resource.Source)
            (ready, failed, reason, message) = (false, true, ObjectReason.Overridden, $"{actual.SourceLabel} declares {resource.Key}, too, and wins");
        var progress = ready ? "" : Progress(resource, pulls);
        if (progress.Length > 0 && !failed) reason = ConditionReason.Pulling;
        // What is neither ready nor under way waits for a person, as does what fails again and again.
        failed = !ready && (failed || !UnderWay.Contains(reason) || (reason == ConditionReason.Unknown && HasEnded(actual)));
        var container = resource is ContainerSpec spec ? ContainerOf(spec, actual, reason, message) with { PullProgress = progress } : null;
        var image = resource is ImageSpec ? new ImageStatus(resource.Key.Name, actual.Image is not null, reason, message, actual.Image?.Digest ?? "", progress) : null;
        return new Part(resource, ready, !ready && !failed, failed, reason, message, container, image);
    }

    private static bool HasEnded(Actual actual) =>
        actual.Containers.Count > 0 && actual.Containers[0] is { State: not (ContainerState.Running or ContainerState.Paused) } and ({ State: ContainerState.Exited } or { ExitRecorded: true });

    private static string Progress(DesiredResource resource, IReadOnlyList<PullProgress> pulls)
    {
        var image = resource is ContainerSpec spec ? spec.Process.Image : resource.Key.Name;
        return pulls.FirstOrDefault(pull => pull.Reference == image) is { Total: > 0 } found
            ? FormattableString.Invariant($"{found.Offset / 1e6:0.0} of {found.Total / 1e6:0.0} MB")
            : "";
    }

    private static ContainerStatus ContainerOf(ContainerSpec spec, Actual actual, string reason, string message)
    {
        var newest = actual.Containers.Count > 0 ? actual.Containers[0] : null;
        var state = newest is { State: ContainerState.Running or ContainerState.Paused } ? "Running" : HasEnded(actual) ? "Terminated" : "Waiting";
        return new ContainerStatus
        {
            Name = spec.Name,
            State = state,
            Reason = reason,
            Message = message,
            ImageId = newest?.ImageDigest ?? "",
            RestartCount = newest?.Restarts ?? 0,
            StartedAt = newest?.StartedAt,
            FinishedAt = state == "Terminated" ? newest!.FinishedAt : null,
            ExitCode = state == "Terminated" ? newest!.ExitCode : null,
        };
    }

    private static IEnumerable<ObjectCondition> ConditionsOf(ClusterWorkload workload, string doubt, List<Part> parts, Dated dated)
    {
        if (workload.Refused)
        {
            var why = string.Join("; ", workload.Problems.Where(problem => !problem.Warning).Take(3).Select(problem => $"{problem.Field}: {problem.Message} ({problem.Remedy})"));
            yield return dated(ConditionType.Ready, false, ObjectReason.InvalidSpec, why);
            yield return dated(ConditionType.Reconciling, false, ObjectReason.InvalidSpec, "");
            yield return dated(ConditionType.Stalled, true, ObjectReason.InvalidSpec, why);
            yield break;
        }
        var unready = parts.FirstOrDefault(part => part.Failed) ?? parts.FirstOrDefault(part => !part.Ready);
        var best = parts.FirstOrDefault();
        var (reason, message) = unready is not null ? (unready.Reason, Say(unready)) : (best?.Reason ?? ConditionReason.Running, "");
        var working = parts.FirstOrDefault(part => part.Working);
        var failed = parts.FirstOrDefault(part => part.Failed);
        yield return dated(ConditionType.Ready, unready is null, reason, message);
        yield return dated(ConditionType.Reconciling, working is not null && failed is null, working?.Reason ?? ObjectReason.Settled, working is null ? "" : Say(working));
        yield return dated(ConditionType.Stalled, failed is not null, failed?.Reason ?? ObjectReason.Settled, failed is null ? "" : Say(failed));
        if (doubt.StartsWith(ObjectReason.SourceRegressed, StringComparison.Ordinal)) yield return dated(ConditionType.SourceRegressed, true, ObjectReason.SourceRegressed, doubt);
    }

    private static string Say(Part part) => part.Message.Length > 0 ? $"{part.Resource.Key.Name}: {part.Message}" : part.Resource.Key.Name;

    /// <summary>The whole of what is applied to /status.</summary>
    public byte[] Write(ClusterObject workload) => StatusDocument.Write("NodeWorkload", workload.Name, workload.Uid, workload.ResourceVersion, json =>
    {
        json.WriteNumber("observedGeneration", ObservedGeneration);
        if (Revision.Length > 0) json.WriteString("revision", Revision);
        ObjectCondition.WriteAll(json, Conditions);
        json.WriteStartArray("containers");
        foreach (var container in Containers) Write(json, container);
        json.WriteEndArray();
        json.WriteStartArray("images");
        foreach (var image in Images) Write(json, image);
        json.WriteEndArray();
    });

    private static void Write(Utf8JsonWriter json, ContainerStatus container)
    {
        json.WriteStartObject();
        json.WriteString("name", container.Name);
        json.WriteString("state", container.State);
        if (container.Reason.Length > 0) json.WriteString("reason", container.Reason);
        if (container.Message.Length > 0) json.WriteString("message", ObjectCondition.Short(container.Message));
        if (container.ImageId.Length > 0) json.WriteString("imageID", container.ImageId);
        json.WriteNumber("restartCount", container.RestartCount);
        if (container.StartedAt is { } started) json.WriteString("startedAt", ClusterTime.Seconds(started));
        if (container.FinishedAt is { } finished) json.WriteString("finishedAt", ClusterTime.Seconds(finished));
        if (container.ExitCode is { } code) json.WriteNumber("exitCode", code);
        if (container.PullProgress.Length > 0) json.WriteString("pullProgress", container.PullProgress);
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, ImageStatus image)
    {
        json.WriteStartObject();
        json.WriteString("image", image.Image);
        json.WriteString("state", image.Present ? "Present" : "Waiting");
        if (image.Reason.Length > 0) json.WriteString("reason", image.Reason);
        if (image.Message.Length > 0) json.WriteString("message", ObjectCondition.Short(image.Message));
        if (image.ImageId.Length > 0) json.WriteString("imageID", image.ImageId);
        if (image.PullProgress.Length > 0) json.WriteString("pullProgress", image.PullProgress);
        json.WriteEndObject();
    }
}
