using System.Globalization;
using System.Text.Json.Nodes;
using Reconciler.Agent.State;
using Reconciler.Core.Model;

namespace Reconciler.Agent.Commands.Output;

/// <summary>What containerd knows of an image record.</summary>
internal sealed record ImageFacts(string Reference, string Digest, long Size, DateTimeOffset? CreatedAt);

/// <summary>One image as <c>get images</c> shows it; also one that is only being pulled, or that cannot be.</summary>
internal sealed record ImageRow
{
    public required string Reference { get; init; }

    public ImageFacts? Facts { get; init; }

    public ActualImage? Actual { get; init; }

    public PullState? Pull { get; init; }

    public KeyState? Memory { get; init; }

    /// <summary>Present, Pulling 43%, Resolving, or the reason why it is not there.</summary>
    public string State => Pull is not null ? Progress(Pull) : Facts is not null ? "Present" : Memory?.Reason ?? "Missing";

    public static List<ImageRow> From(
        IReadOnlyDictionary<string, ImageFacts> present, IReadOnlyDictionary<string, ActualImage> actual, AgentState? memory, bool agentAlive)
    {
        var pulls = (agentAlive ? memory?.Pulls ?? [] : []).GroupBy(pull => pull.Reference).ToDictionary(group => group.Key, group => group.Last());
        var remembered = (memory?.Keys ?? []).Where(key => key.Kind == ResourceKind.Image).ToDictionary(key => key.Name);
        return
        [
            .. present.Keys
                .Union(pulls.Keys)
                .Union(remembered.Values.Where(key => key is { Ready: false, Reason: not "Removed" }).Select(key => key.Name))
                .Order(StringComparer.Ordinal)
                .Select(reference => new ImageRow
                {
                    Reference = reference,
                    Facts = present.GetValueOrDefault(reference),
                    Actual = actual.GetValueOrDefault(reference),
                    Pull = pulls.GetValueOrDefault(reference),
                    Memory = remembered.GetValueOrDefault(reference),
                }),
        ];
    }

    /// <summary>The first two users, and how many more.</summary>
    public string UsedBy()
    {
        var users = (Actual?.UsedBy ?? []).Select(key => key.ToString()).ToList();
        return users.Count <= 2
            ? string.Join(',', users)
            : string.Create(CultureInfo.InvariantCulture, $"{users[0]},{users[1]},+{users.Count - 2}");
    }

    /// <summary>Layers under way, for <c>-o wide</c>.</summary>
    public string Layers() => Pull is null ? "" : string.Join(' ', Pull.Layers.Select(LayerText));

    public JsonObject ToJson()
    {
        var json = new JsonObject { ["image"] = Reference, ["state"] = State };
        if (Facts is not null)
        {
            json["digest"] = Facts.Digest;
            json["size"] = Facts.Size;
            ListOutput.SetIf(json, "createdAt", Facts.CreatedAt);
        }
        if (Actual is not null) json["managed"] = Actual.Managed;
        ListOutput.SetIf(json, "unusedSince", Actual?.UnusedSince);
        json["usedBy"] = new JsonArray([.. (Actual?.UsedBy ?? []).Select(key => JsonValue.Create(key.ToString()))]);
        ListOutput.SetIf(json, "reason", Memory?.Reason);
        ListOutput.SetIf(json, "message", Memory?.Message);
        if (Memory is { Attempt: > 0 }) json["attempt"] = Memory.Attempt;
        ListOutput.SetIf(json, "nextTry", Memory?.NextTry);
        if (Pull is not null) json["layers"] = new JsonArray([.. Pull.Layers.Select(LayerJson)]);
        return json;
    }

    private static JsonObject LayerJson(LayerState layer) => new()
    {
        ["ref"] = layer.Ref, ["status"] = layer.Status, ["offset"] = layer.Offset, ["total"] = layer.Total,
    };

    private static string LayerText(LayerState layer)
    {
        var name = layer.Ref.StartsWith("sha256:", StringComparison.Ordinal) && layer.Ref.Length > 19 ? layer.Ref[7..19] : layer.Ref;
        return layer.Status == "downloading" && layer.Total > 0
            ? string.Create(CultureInfo.InvariantCulture, $"{name}={100 * layer.Offset / layer.Total}%")
            : $"{name}={layer.Status}";
    }

    private static string Progress(PullState pull)
    {
        var total = pull.Layers.Sum(layer => layer.Total);
        if (total == 0) return "Resolving";
        if (pull.Layers.Any(layer => layer.Status is "unpacking" or "unpacked") && pull.Layers.All(layer => layer.Offset >= layer.Total)) return "Unpacking";
        var there = pull.Layers.Sum(layer => Math.Min(layer.Offset, layer.Total));
        return string.Create(CultureInfo.InvariantCulture, $"Pulling {100 * there / total}%");
    }
}
