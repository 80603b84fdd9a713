using System.Globalization;
using System.Text;
using Reconciler.Core.Planning;

namespace Reconciler.Agent.Commands.Output;

/// <summary>A container for people, as <c>kubectl describe</c> lays things out.</summary>
internal static class ContainerText
{
    private const int Label = 14;

    /// <param name="planned">What its declaration asks for now; null = not known.</param>
    /// <param name="log">Its file of standard output; null = it was never made.</param>
    public static string Of(ContainerRow row, PlannedKey? planned, string node, string? log, DateTimeOffset now, bool showEnv)
    {
        var text = new StringBuilder();
        Add("Name", row.Key.Name);
        Add("Namespace", row.Key.Namespace);
        Add("Node", node);
        Add("State", row.Ready && row.Since is { } since ? $"{row.State} for {Units.Age(now - since)} (since {Iso(since)})" : row.State);
        Add("Reason", row.Message.Length > 0 ? $"{row.Reason}: {row.Message}" : row.Reason);
        if (row.Memory is { NextTry: { } next } && next > now) Add("Next try", $"in {Units.Age(next - now)}, attempt {row.Memory.Attempt + 1}");
        Add("Image", row.Image);
        if (row.Actual is { } actual)
        {
            Add("Digest", actual.ImageDigest);
            Add("Id", actual.Id);
            if (actual.Pid > 0) Add("Pid", Text(actual.Pid));
            Add("Restarts", Text(actual.Restarts));
            if (row.ExitCode is { } code) Add("Exit code", actual.FinishedAt is { } finished ? $"{code}, {Time(finished, now)}" : Text(code));
            if (actual.StopBy is { } stop) Add("Killed at", Iso(stop));
            Add("Source", actual.Source);
        }
        if (log is not null) Add("Log", log);
        AppendPlan(text, planned, now, showEnv);
        if (row.Memory is { Events.Count: > 0 } memory) AppendEvents(text, memory, now);
        return text.ToString();

        void Add(string label, string value)
        {
            if (value.Length > 0) text.Append((label + ":").PadRight(Label)).Append(value).Append('\n');
        }
    }

    private static void AppendPlan(StringBuilder text, PlannedKey? planned, DateTimeOffset now, bool showEnv)
    {
        text.Append("Declared:".PadRight(Label));
        if (planned is null) text.Append("not known: give --manifests DIR or --kubernetes\n");
        else if (planned.Plan.Actions.Count > 0) text.Append("otherwise; the agent would do\n").Append(PlanText.OfKey(planned, showEnv));
        else if (planned.Plan.LookAgainAt is { } at && at > now) text.Append(CultureInfo.InvariantCulture, $"as it is; looked at again in {Units.Age(at - now)}: {planned.Plan.Condition.Message}\n");
        else text.Append("as it is\n");
    }

    private static void AppendEvents(StringBuilder text, State.KeyState memory, DateTimeOffset now)
    {
        text.Append("Events:\n");
        foreach (var happened in memory.Events)
        {
            var times = happened.Count > 1 ? $" (x{happened.Count})" : "";
            text.Append(CultureInfo.InvariantCulture, $"  {Units.Age(happened.At, now),-7} {(happened.Warning ? "Warning" : "Normal "),-7}  {happened.Text}{times}\n");
        }
    }

    private static string Time(DateTimeOffset at, DateTimeOffset now) => $"{Units.Age(now - at)} ago ({Iso(at)})";

    private static string Iso(DateTimeOffset at) => at.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
