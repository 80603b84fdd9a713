namespace Reconciler.Core.Planning;

/// <summary>The words of <see cref="Condition.Reason"/> that the core gives; a failed action shows the runtime's own word.</summary>
public static class ConditionReason
{
    public const string Running = "Running";
    public const string Creating = "Creating";
    public const string Restarting = "Restarting";
    public const string Replacing = "Replacing";
    public const string Stopping = "Stopping";
    public const string Removing = "Removing";
    public const string Removed = "Removed";
    public const string Suspended = "Suspended";
    public const string Paused = "Paused";
    public const string Unknown = "Unknown";
    public const string Completed = "Completed";
    public const string Error = "Error";
    public const string OOMKilled = "OOMKilled";
    public const string CrashLoopBackOff = "CrashLoopBackOff";
    public const string LogBroken = "LogBroken";

    /// <summary>Policy Never and the image is not there.</summary>
    public const string ErrImageNeverPull = "ErrImageNeverPull";

    /// <summary>It runs the present image: the registry did not answer when the tag was to be resolved.</summary>
    public const string ImageStale = "ImageStale";
    public const string Pulling = "Pulling";
    public const string Present = "Present";
    public const string InUse = "InUse";
    public const string Unused = "Unused";

    /// <summary>Left as it is, since what is declared is not known for certain.</summary>
    public const string SourceUnavailable = "SourceUnavailable";

    /// <summary>The same actions were carried out again and again without the wanted result.</summary>
    public const string NotConverging = "NotConverging";
    public const string InternalError = "InternalError";
}
