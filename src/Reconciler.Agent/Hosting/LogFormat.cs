namespace Reconciler.Agent.Hosting;

/// <summary>What a line of the log looks like.</summary>
public enum LogFormat
{
    /// <summary>For people: time, level, message.</summary>
    Text,

    /// <summary>For programs: one object per line, see <see cref="JsonLine"/>.</summary>
    Json,
}
