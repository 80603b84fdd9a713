using Reconciler.Agent.State;

namespace Reconciler.Agent.Hosting;

/// <summary>Whether the agent turns, and whether it does its work.</summary>
/// <param name="turn">Done once it has come round.</param>
/// <param name="time">Clock of the limit.</param>
internal sealed class AgentHealth(Func<CancellationToken, Task> turn, TimeProvider time)
{
    public static readonly TimeSpan TurnLimit = TimeSpan.FromSeconds(5);

    private volatile StateSink? _sink;

    public void Show(StateSink sink) => _sink = sink;

    /// <summary>Why it should be started anew; null = it turns. One that waits for containerd turns.</summary>
    public async Task<string?> StuckAsync(CancellationToken stop)
    {
        using var limit = new CancellationTokenSource(TurnLimit, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, stop);
        try
        {
            await turn(either.Token);
            return null;
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            return $"the reconcile loop has not come round for {TurnLimit.TotalSeconds:0} s";
        }
    }

    /// <summary>Its phase before Running and why; null = it reconciles.</summary>
    public string? Waiting() => _sink?.Agent switch
    {
        null => "Starting: another agent has the state dir",
        { Phase: "Running" } => null,
        { Message.Length: > 0 } agent => $"{agent.Phase}: {agent.Message}",
        { } agent => agent.Phase,
    };
}
