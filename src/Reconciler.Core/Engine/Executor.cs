using System.Diagnostics;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;

namespace Reconciler.Core.Engine;

/// <summary>How a pass ended.</summary>
public abstract record Outcome
{
    private Outcome()
    {
    }

    /// <param name="Stale">Why a pull took the present image; null = it did not.</param>
    public sealed record Done(string? Stale = null) : Outcome;

    /// <summary>The world is not as the plan assumed, or a newer declaration came: look again, nobody failed.</summary>
    public sealed record Again(string Why) : Outcome;

    /// <summary>The runtime does not answer.</summary>
    public sealed record Unavailable(Condition Condition) : Outcome;

    /// <summary>It failed and may work later.</summary>
    public sealed record Retry(Condition Condition) : Outcome;

    /// <summary>It fails until someone changes something; tried again all the same.</summary>
    public sealed record Stuck(Condition Condition) : Outcome;
}

/// <param name="Actions">What was begun, the failed one last.</param>
public sealed record Execution(Outcome Outcome, EquatableArray<NodeAction> Actions);

/// <summary>Carries out plans; the only switch over <see cref="NodeAction"/>.</summary>
public sealed class Executor(IContainerRuntime runtime, RuncGate gate, LoopMetrics metrics)
{
    /// <summary>Runs the actions in order and stops at the first that fails. Throws nothing for what the runtime says.</summary>
    /// <param name="plan">What to do.</param>
    /// <param name="lease">Ends the waiting in pulls, grace periods and for a slot; never cuts other work that has begun.</param>
    /// <param name="stop">The agent stops.</param>
    public async Task<Execution> RunAsync(Plan plan, CancellationToken lease, CancellationToken stop)
    {
        var begun = new List<NodeAction>();
        string? stale = null;
        var heal = plan.Actions.Any(action => action is NodeAction.StopContainer or NodeAction.CreateContainer { Restarts: > 0 });
        foreach (var action in plan.Actions)
        {
            if (lease.IsCancellationRequested) return new Execution(new Outcome.Again("superseded"), [.. begun]);
            begun.Add(action);
            using var step = metrics.Begin(action);
            try
            {
                stale = await RunAsync(action, heal, lease, stop) ?? stale;
                step.Done();
            }
            catch (RuntimeException e) when (e.Kind == RuntimeErrorKind.NotFound && Removes(action))
            {
                step.Done(); // it went before us, which is what was wanted
            }
            catch (RuntimeException e)
            {
                step.Fail(e.Reason);
                return new Execution(Failed(e), [.. begun]);
            }
            catch (OperationCanceledException) when (lease.IsCancellationRequested)
            {
                return new Execution(new Outcome.Again("superseded"), [.. begun]);
            }
        }
        return new Execution(new Outcome.Done(stale), [.. begun]);
    }

    /// <summary>What an error of the runtime means for a pass.</summary>
    public static Outcome Failed(RuntimeException error)
    {
        var condition = new Condition(false, error.Reason, error.Message);
        return error.Kind switch
        {
            RuntimeErrorKind.Unavailable => new Outcome.Unavailable(condition),
            RuntimeErrorKind.Conflict or RuntimeErrorKind.NotFound => new Outcome.Again(error.Message),
            RuntimeErrorKind.Refused => new Outcome.Stuck(condition),
            _ => new Outcome.Retry(condition),
        };
    }

    private async Task<string?> RunAsync(NodeAction action, bool heal, CancellationToken lease, CancellationToken stop)
    {
        switch (action)
        {
            case NodeAction.PullImage pull:
                return (await runtime.PullImageAsync(pull, lease)).Stale;
            case NodeAction.StopContainer end:
                await runtime.StopContainerAsync(end, lease);
                return null;
            case NodeAction.CreateContainer or NodeAction.DeleteContainer or NodeAction.RecordExit:
                using (await gate.EnterAsync(heal && action is NodeAction.CreateContainer, lease)) await RunRuncAsync(action, stop);
                return null;
            case NodeAction.AdoptContainer adopt:
                await runtime.AdoptContainerAsync(adopt, stop);
                return null;
            case NodeAction.RemoveImage remove:
                await runtime.RemoveImageAsync(remove, stop);
                return null;
            case NodeAction.MarkImage mark:
                await runtime.MarkImageAsync(mark, stop);
                return null;
            default:
                throw new UnreachableException($"no verb for {action}");
        }
    }

    private Task RunRuncAsync(NodeAction action, CancellationToken stop) => action switch
    {
        NodeAction.CreateContainer create => runtime.CreateContainerAsync(create, stop),
        NodeAction.DeleteContainer delete => runtime.DeleteContainerAsync(delete, stop),
        NodeAction.RecordExit record => runtime.RecordExitAsync(record, stop),
        _ => throw new UnreachableException($"not runc work: {action}"),
    };

    private static bool Removes(NodeAction action) =>
        action is NodeAction.StopContainer or NodeAction.DeleteContainer or NodeAction.RemoveImage;
}
