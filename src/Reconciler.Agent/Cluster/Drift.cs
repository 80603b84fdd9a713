using Reconciler.Agent.State;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;

namespace Reconciler.Agent.Cluster;

/// <summary>Tells what somebody else did to a thing that was as declared from how a container ends by itself. Pure.</summary>
internal static class Drift
{
    private const int Killed = 128 + 9;

    /// <param name="before">The last report of the key; null = none.</param>
    /// <param name="planned">What was found.</param>
    /// <returns>One sentence; null = nothing of the kind.</returns>
    public static string? Of(KeyState? before, PlannedKey planned) => planned.Wish switch
    {
        _ when before is not { Ready: true } => null,
        Wish.Declared { Resource: ContainerSpec { Suspend: false } spec } when before.SpecHash == spec.Hash => OfContainer(spec, planned),
        Wish.Declared { Resource: ImageSpec } when planned is { Actual.Image: null, Plan.Actions.Count: > 0 } => $"Image {planned.Key.Name} was removed by someone; it is pulled again",
        _ => null,
    };

    private static string? OfContainer(ContainerSpec spec, PlannedKey planned)
    {
        if (planned.Plan.Condition.Reason == ConditionReason.Paused) return $"Container {spec.Name} was paused by someone; it stays so until it is resumed";
        if (planned.Actual.Containers.Count == 0)
            return planned.Plan.Actions.Count > 0 ? $"Container {spec.Name} was removed by someone; it is created again" : null;
        if (spec.RestartPolicy == RestartPolicy.Never) return null;
        return planned.Actual.Containers[0] switch
        {
            { StopBy: not null } or { ExitRecorded: true } => null,
            { State: ContainerState.NoTask, StartedAt: not null } =>
                $"The task of container {spec.Name} went without an exit: removed by someone, or the node was started anew; it is started again",
            // No process ends itself so, and the kernel's lack of memory has a reason of its own.
            { State: ContainerState.Exited, ExitCode: Killed, Reason: "Error" } => $"Container {spec.Name} was killed by someone (SIGKILL); it is started again",
            _ => null,
        };
    }
}
