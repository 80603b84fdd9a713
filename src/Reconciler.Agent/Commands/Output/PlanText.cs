using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Reconciler.Agent.State;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;

namespace Reconciler.Agent.Commands.Output;

/// <summary>A plan for people: per key a line with + ~ or - and the reason, below it the fields that differ and every action.</summary>
internal static class PlanText
{
    public static string Of(IReadOnlyList<PlannedKey> plans, bool showEnv)
    {
        var text = new StringBuilder();
        var changes = plans.Where(plan => plan.Plan.Actions.Count > 0).ToList();
        foreach (var planned in changes) AppendKey(text, planned, showEnv);
        if (changes.Count == 0) return "Nothing to do.\n";
        var counts = changes.CountBy(Symbol).ToDictionary();
        text.Append(CultureInfo.InvariantCulture, $"{counts.GetValueOrDefault('+')} to make, {counts.GetValueOrDefault('~')} to change, {counts.GetValueOrDefault('-')} to remove.\n");
        return text.ToString();
    }

    /// <summary>For a terminal: lines in the colour of their symbol.</summary>
    public static string Colored(string text) => string.Concat(text.Split('\n')[..^1].Select(line => line.TrimStart() switch
    {
        ['+', ' ', ..] => $"\e[32m{line}\e[0m\n",
        ['~', ' ', ..] => $"\e[33m{line}\e[0m\n",
        ['-', ' ', ..] => $"\e[31m{line}\e[0m\n",
        _ => line + "\n",
    }));

    /// <summary>What waits, and why nothing is done about it now.</summary>
    public static IEnumerable<string> Waits(IReadOnlyList<PlannedKey> plans, DateTimeOffset now) =>
        from planned in plans
        where planned.Plan.Actions.Count == 0 && !planned.Plan.Condition.Ready && planned.Plan.LookAgainAt is not null
        select $"{planned.Key}: waits {Units.Age(planned.Plan.LookAgainAt!.Value - now)}: {Reason(planned.Plan.Condition)}";

    public static JsonObject Json(PlannedKey planned, bool showEnv)
    {
        var json = new JsonObject
        {
            ["key"] = planned.Key.ToString(),
            ["change"] = Symbol(planned).ToString(),
            ["reason"] = planned.Plan.Condition.Reason,
        };
        ListOutput.SetIf(json, "message", planned.Plan.Condition.Message);
        json["actions"] = new JsonArray([.. planned.Plan.Actions.Select(action => new JsonObject
        {
            ["action"] = ActionText.Of(action), ["reason"] = action.Reason,
        })]);
        var fields = Fields(planned, showEnv);
        if (fields.Count > 0) json["fields"] = new JsonArray([.. fields.Select(FieldJson)]);
        return json;
    }

    /// <summary>One key alone, indented.</summary>
    public static string OfKey(PlannedKey planned, bool showEnv)
    {
        var text = new StringBuilder();
        AppendKey(text, planned, showEnv);
        return string.Concat(text.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => $"  {line}\n"));
    }

    private static void AppendKey(StringBuilder text, PlannedKey planned, bool showEnv)
    {
        text.Append(CultureInfo.InvariantCulture, $"{Symbol(planned)} {planned.Key}: {Reason(planned.Plan.Condition)}\n");
        foreach (var field in Fields(planned, showEnv)) text.Append(CultureInfo.InvariantCulture, $"    ~ {field}\n");
        foreach (var action in planned.Plan.Actions)
        {
            text.Append(CultureInfo.InvariantCulture, $"    {Symbol(action)} {ActionText.Of(action)} ({action.Reason})\n");
        }
    }

    private static string Reason(Condition condition) => condition.Message.Length > 0 ? $"{condition.Reason}: {condition.Message}" : condition.Reason;

    /// <summary>The fields of a container that is replaced because they differ.</summary>
    private static List<FieldChange> Fields(PlannedKey planned, bool showEnv)
    {
        var create = planned.Plan.Actions.OfType<NodeAction.CreateContainer>().FirstOrDefault();
        var old = planned.Actual.Containers.FirstOrDefault(container => container.Process is not null);
        return create is null || old?.Process is null || old.SpecHash == create.Spec.Hash ? [] : ProcessDiff.Of(old.Process, create.Spec.Process, showEnv);
    }

    private static JsonObject FieldJson(FieldChange change) => new()
    {
        ["field"] = change.Field, ["old"] = change.Old, ["new"] = change.New,
    };

    /// <summary>+ something comes that was not there, - all of it goes, ~ the rest.</summary>
    private static char Symbol(PlannedKey planned)
    {
        var symbols = planned.Plan.Actions.Select(Symbol).Distinct().ToList();
        if (symbols is ['-']) return '-';
        var present = planned.Actual.Containers.Count > 0 || (planned.Key.Kind == ResourceKind.Image && planned.Actual.Image is not null);
        return symbols.Contains('+') && !present ? '+' : '~';
    }

    private static char Symbol(NodeAction action) => action switch
    {
        NodeAction.PullImage or NodeAction.CreateContainer => '+',
        NodeAction.StopContainer or NodeAction.DeleteContainer or NodeAction.RemoveImage => '-',
        _ => '~',
    };
}
