using Reconciler.Core.Model;

namespace Reconciler.Core.Planning;

/// <summary>The half of the planner for a declared container of which no wanted copy runs.</summary>
public static partial class Planner
{
    /// <summary>What the next incarnation starts with.</summary>
    /// <param name="Restarts">Label restarts.</param>
    /// <param name="Failures">Label failures.</param>
    /// <param name="SameSpec">It runs the recorded digest again, without asking a registry.</param>
    private sealed record Next(int Restarts, int Failures, bool SameSpec, string Reason, string Why);

    private static Plan Make(ContainerSpec spec, Actual actual, DateTimeOffset now)
    {
        var newest = actual.Containers.Count > 0 ? actual.Containers[0] : null;
        if (newest is null) return Create(spec, actual, new Next(0, 0, false, ConditionReason.Creating, "declared and not there"), now);
        if (newest.SpecHash != spec.Hash)
            return Create(spec, actual, new Next(newest.Restarts, 0, false, ConditionReason.Replacing, "its spec changed"), now);
        if (newest.RestartWanted)
            return Create(spec, actual, new Next(newest.Restarts + 1, 0, true, ConditionReason.Restarting, "a restart was asked for"), now);
        if (newest.StopBy is not null)
            return Create(spec, actual, new Next(newest.Restarts, 0, true, ConditionReason.Replacing, "it was stopped and is wanted again"), now);
        if (newest.State == ContainerState.Unknown)
            return Create(spec, actual, new Next(newest.Restarts + 1, newest.Failures, true, ConditionReason.Unknown, "its shim is gone: what is left of it is killed"), now);
        if (newest.IsLive && newest.LogBroken)
            return Create(spec, actual, new Next(newest.Restarts + 1, newest.Failures, true, ConditionReason.LogBroken, "its log files were closed by a full disk"), now);
        return HasRun(newest)
            ? Restart(spec, actual, newest, now)
            : Create(spec, actual, new Next(newest.Restarts, newest.Failures, true, ConditionReason.Replacing, "it was created and never started"), now);
    }

    private static Plan Restart(ContainerSpec spec, Actual actual, ActualContainer dead, DateTimeOffset now)
    {
        var how = HowItEnded(dead);
        if (!IsRestarted(spec.RestartPolicy, dead.ExitCode))
        {
            var reason = dead.Reason.Length > 0 ? dead.Reason : dead.ExitCode == 0 ? ConditionReason.Completed : ConditionReason.Error;
            return Rest(spec, actual, dead, null, new Condition(false, reason, $"{how}; restart policy {spec.RestartPolicy}"));
        }
        var failures = RanLong(dead) ? 0 : dead.Failures;
        var due = DueAfterExit(dead, failures, now);
        if (due > now)
            return Rest(spec, actual, dead, due, new Condition(false, ConditionReason.CrashLoopBackOff, $"{how}; {dead.Restarts} restarts so far"));
        return Create(spec, actual, new Next(dead.Restarts + 1, failures + 1, true, ConditionReason.Restarting, $"it ended: {how}"), now);
    }

    /// <summary>Nothing is started now: the exit is recorded, other records go.</summary>
    private static Plan Rest(ContainerSpec spec, Actual actual, ActualContainer dead, DateTimeOffset? lookAgainAt, Condition condition)
    {
        NodeAction[] actions =
        [
            .. RecordExit(dead), .. Adopt(dead, spec),
            .. actual.Containers.Where(c => c != dead).SelectMany(c => Remove(c, spec.GracePeriod, "a newer record is kept")),
        ];
        return new Plan([.. actions], lookAgainAt, condition);
    }

    /// <summary>Image first; then whatever lives stops, so that two copies never run; the dead go last, since their record is the memory.</summary>
    private static Plan Create(ContainerSpec spec, Actual actual, Next next, DateTimeOffset now)
    {
        var newest = actual.Containers.Count > 0 ? actual.Containers[0] : null;
        var image = spec.Process.Image;
        var digest = next.SameSpec && newest is { ImagePresent: true, ImageDigest.Length: > 0 } ? newest.ImageDigest : null;
        var pulls = digest is null && (actual.Image is null || (spec.PullPolicy == ImagePullPolicy.Always && !next.SameSpec));
        if (pulls && spec.PullPolicy == ImagePullPolicy.Never)
            return Planning.Plan.Nothing(new Condition(false, ConditionReason.ErrImageNeverPull, $"{image} is not on the node and imagePullPolicy is Never"));

        var actions = new List<NodeAction>();
        if (pulls)
        {
            var why = actual.Image is null ? "the image is not on the node" : "imagePullPolicy is Always";
            actions.Add(new NodeAction.PullImage(image, actual.Image?.Digest, why));
        }
        actions.AddRange(actual.Containers.Where(c => c.IsLive).Select(c => Stop(c, spec.GracePeriod, next.Why)));
        var incarnation = newest is null ? now.ToUnixTimeSeconds() : newest.Incarnation + 1;
        actions.Add(new NodeAction.CreateContainer(spec, incarnation, digest, next.Restarts, next.Failures, next.Why));
        actions.AddRange(actual.Containers.Select(c => new NodeAction.DeleteContainer(c.Id, "its successor runs")));
        return new Plan([.. actions], null, new Condition(false, next.Reason, next.Why));
    }

    private static bool IsRestarted(RestartPolicy policy, int? exitCode) => policy switch
    {
        RestartPolicy.Always => true,
        RestartPolicy.OnFailure => exitCode != 0,
        _ => false,
    };

    private static bool RanLong(ActualContainer dead) =>
        dead.StartedAt is { } started && dead.FinishedAt is { } finished && finished - started >= Backoff.LongRun;

    private static DateTimeOffset DueAfterExit(ActualContainer dead, int failures, DateTimeOffset now)
    {
        var finished = dead.FinishedAt ?? now;
        // The clock was set back: an exit in the future would hold the restart for as long.
        if (finished > now + Backoff.Longest) return now;
        return finished + Backoff.AfterExit(failures);
    }
}
