using System.Text.Json;
using System.Text.Json.Nodes;
using Reconciler.Core.Model;

namespace Reconciler.Agent.Commands.Output;

/// <param name="Field">Path as in a manifest, e.g. env.LEVEL or limits.memory.</param>
/// <param name="Old">JSON text; null = not set.</param>
/// <param name="New">JSON text; null = not set.</param>
internal sealed record FieldChange(string Field, string? Old, string? New)
{
    public override string ToString() => $"{Field}: {Old ?? "(unset)"} -> {New ?? "(unset)"}";
}

/// <summary>The fields in which two processes differ, read from the very JSON that is hashed: what differs in the hash differs here.</summary>
internal static class ProcessDiff
{
    public const string Hidden = "(changed)";

    private const string EnvOrder = "order of env";

    public static List<FieldChange> Of(ContainerProcess old, ContainerProcess now, bool showEnv)
    {
        var before = Fields(old);
        var after = Fields(now);
        if (!before.Keys.Where(IsEnv).ToHashSet().SetEquals(after.Keys.Where(IsEnv)))
        {
            before.Remove(EnvOrder); // follows from what came and went
            after.Remove(EnvOrder);
        }
        return
        [
            .. before.Keys.Union(after.Keys)
                .Where(field => before.GetValueOrDefault(field) != after.GetValueOrDefault(field))
                .Select(field => Change(field, before.GetValueOrDefault(field), after.GetValueOrDefault(field), showEnv)),
        ];
    }

    private static FieldChange Change(string field, string? old, string? now, bool showEnv)
    {
        var hide = !showEnv && IsEnv(field);
        return new FieldChange(field, hide && old is not null ? Hidden : old, hide && now is not null ? Hidden : now);
    }

    private static bool IsEnv(string field) => field.StartsWith("env.", StringComparison.Ordinal);

    private static Dictionary<string, string> Fields(ContainerProcess process)
    {
        var fields = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var (name, value) in JsonNode.Parse(SpecHash.Canonical(process))!.AsObject())
        {
            switch (name, value)
            {
                case ("env", JsonArray list):
                    foreach (var item in list) fields["env." + (string)item!["name"]!] = JsonText.Of(item["value"]!);
                    fields[EnvOrder] = string.Join(",", list.Select(item => (string)item!["name"]!));
                    break;
                case ("mounts", JsonArray list):
                    foreach (var item in list) fields[$"mounts[{(string)item!["mountPath"]!}]"] = JsonText.Of(item!);
                    break;
                case (_, JsonObject map):
                    foreach (var (inner, text) in map) fields[$"{name}.{inner}"] = JsonText.Of(text!);
                    break;
                default:
                    fields[name] = JsonText.Of(value!);
                    break;
            }
        }
        return fields;
    }
}
