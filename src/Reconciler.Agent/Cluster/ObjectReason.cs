namespace Reconciler.Agent.Cluster;

/// <summary>Reasons of conditions that only an object of the cluster has; the others are the loop's and the runtime's.</summary>
internal static class ObjectReason
{
    /// <summary>No pass has looked at this spec yet.</summary>
    public const string Pending = "Pending";

    /// <summary>A folder of the node declares it, too.</summary>
    public const string Overridden = "Overridden";
    public const string InvalidSpec = "InvalidSpec";

    /// <summary>Of Reconciling and Stalled while they are False.</summary>
    public const string Settled = "Settled";
    public const string SourceRegressed = "SourceRegressed";
    public const string Deleting = "Deleting";
    public const string Stopped = "Stopped";

    public const string Available = "Available";
    public const string Progressing = "Progressing";
    public const string ProgressDeadlineExceeded = "ProgressDeadlineExceeded";
    public const string NameConflict = "NameConflict";
    public const string Refused = "Refused";

    public const string AgentAlive = "AgentAlive";
    public const string NoAgent = "NoAgent";
    public const string LeaseExpired = "LeaseExpired";
}
