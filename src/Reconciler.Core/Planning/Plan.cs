using Reconciler.Core.Model;

namespace Reconciler.Core.Planning;

/// <summary>What to do for one key now, when to look again without an event, and what to tell a person.</summary>
/// <param name="Actions">In order; the executor stops at the first that fails.</param>
/// <param name="LookAgainAt">When time alone changes the answer: end of a backoff, stop-by, image grace. Null = only an event can.</param>
/// <param name="Condition">What <c>get</c> shows as REASON while this plan stands.</param>
public sealed record Plan(EquatableArray<NodeAction> Actions, DateTimeOffset? LookAgainAt, Condition Condition)
{
    public static Plan Nothing(Condition condition, DateTimeOffset? lookAgainAt = null) => new([], lookAgainAt, condition);
}

/// <summary>A reason a person can look up, and the sentence behind it.</summary>
/// <param name="Ready">A container that runs as declared, an image that is present.</param>
/// <param name="Reason">CamelCase word, e.g. Running, CrashLoopBackOff, ImagePullFailed.</param>
/// <param name="Message">One sentence; never holds an env value.</param>
public sealed record Condition(bool Ready, string Reason, string Message = "");
