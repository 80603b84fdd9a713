using Reconciler.Agent.Commands.Output;
using Reconciler.Agent.State;

namespace Reconciler.Agent.Hosting;

/// <summary>What a command knows from state.json.</summary>
/// <param name="State">Null = there is none, or it cannot be read.</param>
/// <param name="AgentAlive">The agent that wrote it runs.</param>
/// <param name="Notice">A sentence for standard error when the agent is down; else empty.</param>
internal sealed record StateMemory(AgentState? State, bool AgentAlive, string Notice)
{
    public static StateMemory Read(string stateDir, DateTimeOffset now)
    {
        var path = StateFile.PathIn(stateDir);
        try
        {
            if (StateFile.Read(path) is not { } state) return new StateMemory(null, false, $"the agent does not run here: there is no {path}, so reasons are unknown");
            var written = new DateTimeOffset(File.GetLastWriteTimeUtc(path), TimeSpan.Zero);
            var alive = state.Agent is { } agent && AgentLiveness.IsAlive(agent, written, now);
            return alive switch
            {
                false => new StateMemory(state, false, $"the agent does not run; reasons are from {path}, {Units.Age(now - written)} old"),
                true when state.Agent!.Phase != "Running" => new StateMemory(state, true, $"the agent waits: {state.Agent.Phase} {state.Agent.Message}".TrimEnd()),
                true => new StateMemory(state, true, ""),
            };
        }
        catch (InvalidDataException e)
        {
            return new StateMemory(null, false, $"{path} cannot be used, {e.Message}: reasons are unknown");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new StateMemory(null, false, $"{path} cannot be read, reasons are unknown: {e.Message}");
        }
    }
}
