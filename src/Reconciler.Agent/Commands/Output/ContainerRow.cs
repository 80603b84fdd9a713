using System.Text.Json.Nodes;
using Reconciler.Agent.State;
using Reconciler.Core.Model;
using Reconciler.Core.Ports;

namespace Reconciler.Agent.Commands.Output;

/// <summary>One container as <c>get containers</c> shows it: facts from containerd's labels, reasons from state.json where those are newer.</summary>
internal sealed record ContainerRow
{
    public required ResourceKey Key { get; init; }

    public required string State { get; init; }

    public required string Reason { get; init; }

    public string Message { get; init; } = "";

    public required string Image { get; init; }

    /// <summary>Null = declared, and not made yet.</summary>
    public ActualContainer? Actual { get; init; }

    public KeyState? Memory { get; init; }

    /// <summary>Shown only once its reason is known too; before, a kill for memory would pass for an ordinary error.</summary>
    public int? ExitCode { get; init; }

    /// <summary>Processes inside; null = not asked for.</summary>
    public IReadOnlyList<int>? Processes { get; init; }

    public string Workload => Key.Name[..Key.Name.IndexOf('/', StringComparison.Ordinal)];

    public string Container => Key.Name[(Key.Name.IndexOf('/', StringComparison.Ordinal) + 1)..];

    /// <summary>Running, until there are probes.</summary>
    public bool Ready => State == "Running";

    public DateTimeOffset? Since => Actual?.StartedAt ?? Actual?.CreatedAt ?? Memory?.Since;

    /// <summary>Rows by namespace and name. A key without container comes from the memory alone.</summary>
    public static List<ContainerRow> From(NodeObservation observation, AgentState? memory, bool agentAlive)
    {
        var remembered = (memory?.Keys ?? []).Where(key => key.Kind == ResourceKind.Container).ToDictionary(key => key.Key);
        var keys = observation.Resources
            .Where(pair => pair.Key.Kind == ResourceKind.Container && pair.Value.Containers.Count > 0)
            .Select(pair => pair.Key)
            .Union(remembered.Values.Where(key => key is { Ready: false, Reason: not "Removed" }).Select(key => key.Key));
        return
        [
            .. keys
                .OrderBy(key => key.Namespace, StringComparer.Ordinal)
                .ThenBy(key => key.Name, StringComparer.Ordinal)
                .Select(key => From(key, observation.Resources.GetValueOrDefault(key), remembered.GetValueOrDefault(key), agentAlive)),
        ];
    }

    public JsonObject ToJson(string node, bool showProcess)
    {
        var json = new JsonObject
        {
            ["namespace"] = Key.Namespace,
            ["workload"] = Workload,
            ["container"] = Container,
            ["state"] = State,
            ["ready"] = Ready,
            ["restarts"] = Actual?.Restarts ?? 0,
            ["reason"] = Reason,
        };
        ListOutput.SetIf(json, "message", Message);
        json["image"] = Image;
        ListOutput.SetIf(json, "imageDigest", Actual?.ImageDigest);
        ListOutput.SetIf(json, "id", Actual?.Id);
        if (Actual is { Pid: > 0 }) json["pid"] = Actual.Pid;
        if (Processes is not null) json["pids"] = new JsonArray([.. Processes.Select(pid => JsonValue.Create(pid))]);
        if (ExitCode is { } code) json["exitCode"] = code;
        json["node"] = node;
        ListOutput.SetIf(json, "source", Actual?.Source);
        ListOutput.SetIf(json, "specHash", Actual?.SpecHash ?? Memory?.SpecHash);
        ListOutput.SetIf(json, "createdAt", Actual?.CreatedAt);
        ListOutput.SetIf(json, "startedAt", Actual?.StartedAt);
        ListOutput.SetIf(json, "finishedAt", Actual?.FinishedAt);
        ListOutput.SetIf(json, "stopBy", Actual?.StopBy);
        if (Memory is { Attempt: > 0 }) json["attempt"] = Memory.Attempt;
        ListOutput.SetIf(json, "nextTry", Memory?.NextTry);
        if (Memory is { Events.Count: > 0 }) json["events"] = new JsonArray([.. Memory.Events.Select(EventJson)]);
        if (showProcess && Actual?.Process is { } process) json["process"] = JsonNode.Parse(SpecHash.Canonical(process));
        return json;
    }

    private static JsonObject EventJson(KeyEvent happened)
    {
        var json = new JsonObject();
        ListOutput.SetIf(json, "at", happened.At);
        json["type"] = happened.Warning ? "Warning" : "Normal";
        json["text"] = happened.Text;
        if (happened.Count > 1) json["count"] = happened.Count;
        return json;
    }

    private static ContainerRow From(ResourceKey key, Actual? actual, KeyState? memory, bool agentAlive)
    {
        var newestFirst = actual?.Containers ?? [];
        if (newestFirst.Count == 0)
        {
            return new ContainerRow
            {
                Key = key, State = memory!.Reason == "Suspended" ? "Suspended" : "Pending", Reason = memory.Reason, Message = memory.Message, Image = memory.Image, Memory = memory,
            };
        }
        var container = newestFirst.FirstOrDefault(c => c.State == ContainerState.Running) ?? newestFirst[0];
        var told = container.ExitRecorded || !agentAlive;
        var (reason, message) = Reasons(container, memory, told);
        return new ContainerRow
        {
            Key = key,
            State = StateOf(container),
            Reason = reason,
            Message = message,
            Image = container.ImageReference,
            Actual = container,
            Memory = memory,
            ExitCode = container.State == ContainerState.Exited && told ? container.ExitCode : null,
        };
    }

    private static string StateOf(ActualContainer container) => container.State switch
    {
        ContainerState.Running when container.StopBy is not null => "Stopping",
        ContainerState.NoTask => "Created",
        _ => container.State.ToString(),
    };

    /// <summary>The agent's word counts from the container's last change on; before that the container's own facts do.</summary>
    private static (string Reason, string Message) Reasons(ActualContainer container, KeyState? memory, bool told)
    {
        var changed = container.FinishedAt ?? container.StartedAt ?? container.CreatedAt;
        var current = memory is not null && memory.At >= changed && memory.Reason.Length > 0;
        if (container.State == ContainerState.Exited)
        {
            if (current && memory!.Reason is not ("Running" or "Exited")) return (memory.Reason, memory.Message);
            if (container.Reason.Length > 0) return (container.Reason, "");
            return (told ? ExitReason(container) : "Exited", "");
        }
        // The agent's word on a start may be a moment older than the start itself.
        var overtaken = container.State == ContainerState.Running && memory?.Reason is "Creating" or "Restarting" or "CrashLoopBackOff";
        if (current && !overtaken && (container.StopBy is null || memory!.Reason != "Running")) return (memory!.Reason, memory.Message);
        return (StateOf(container), "");
    }

    private static string ExitReason(ActualContainer container) => container.ExitCode switch
    {
        0 => "Completed",
        null => "Unknown",
        _ => "Error",
    };
}
