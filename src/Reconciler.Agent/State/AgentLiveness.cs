using System.Globalization;

namespace Reconciler.Agent.State;

/// <summary>Tells whether the agent behind a state file lives.</summary>
public static class AgentLiveness
{
    /// <summary>The agent touches state.json this often.</summary>
    public static readonly TimeSpan Heartbeat = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan Silence = 3 * Heartbeat;

    public static bool IsAlive(AgentProcess agent, DateTimeOffset fileWritten, DateTimeOffset now)
    {
        if (agent.Phase == "Stopped") return false;
        var ours = PidNamespace();
        if (ours.Length > 0 && ours == agent.PidNamespace) return StartTicks(agent.Pid) == agent.StartTicks;
        return now - fileWritten < Silence; // its pid means nothing here
    }

    public static string PidNamespace()
    {
        try
        {
            return File.ResolveLinkTarget("/proc/self/ns/pid", returnFinalTarget: false)?.Name ?? "";
        }
        catch (IOException)
        {
            return "";
        }
    }

    /// <summary>Null when no such process runs.</summary>
    public static long? StartTicks(int pid)
    {
        try
        {
            var stat = File.ReadAllText($"/proc/{pid}/stat");
            // The second field is the name in parentheses and may hold anything; starttime is the 22nd.
            var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return fields[0] is "Z" or "X" ? null : long.Parse(fields[19], CultureInfo.InvariantCulture);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
