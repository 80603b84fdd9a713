using System.Text.Json.Serialization;
using Reconciler.Agent.Runtime;
using Reconciler.Core.Model;

namespace Reconciler.Agent.State;

/// <summary>What state.json holds: a cache for people and for the next start. Losing it may cost reasons and backoff, never a container.</summary>
public sealed record AgentState
{
    public const int CurrentVersion = 1;

    public int Version { get; init; } = CurrentVersion;

    public AgentProcess? Agent { get; init; }

    public IReadOnlyList<KeyState> Keys { get; init; } = [];

    /// <summary>Pulls under way.</summary>
    public IReadOnlyList<PullState> Pulls { get; init; } = [];

    /// <summary>What is wrong with the declarations, one line each.</summary>
    public IReadOnlyList<string> Problems { get; init; } = [];
}

/// <summary>The agent that wrote the file.</summary>
public sealed record AgentProcess
{
    public string Version { get; init; } = "";

    public int Pid { get; init; }

    /// <summary>Field starttime of /proc/PID/stat, so that a reused pid is told apart.</summary>
    public long StartTicks { get; init; }

    /// <summary>Link target of /proc/self/ns/pid: <see cref="Pid"/> means something only inside it.</summary>
    public string PidNamespace { get; init; } = "";

    public DateTimeOffset StartedAt { get; init; }

    public string Node { get; init; } = "";

    /// <summary>Folders as given to it; relative ones belong to its working folder.</summary>
    public IReadOnlyList<string> Manifests { get; init; } = [];

    /// <summary>It follows a cluster.</summary>
    public bool Kubernetes { get; init; }

    /// <summary>Starting, WaitingForContainerd, WaitingForLock, Running, Stopped.</summary>
    public string Phase { get; init; } = "";

    public string Message { get; init; } = "";
}

/// <summary>The newest about one container or image.</summary>
public sealed record KeyState
{
    public ResourceKind Kind { get; init; }

    public string Namespace { get; init; } = "";

    /// <summary>workload/container or the image reference.</summary>
    public string Name { get; init; } = "";

    public bool Ready { get; init; }

    public string Reason { get; init; } = "";

    public string Message { get; init; } = "";

    /// <summary>When this reason was first seen.</summary>
    public DateTimeOffset Since { get; init; }

    /// <summary>The last pass over the key that changed anything here.</summary>
    public DateTimeOffset At { get; init; }

    /// <summary>Failed attempts in a row.</summary>
    public int Attempt { get; init; }

    public DateTimeOffset? NextTry { get; init; }

    public string SpecHash { get; init; } = "";

    /// <summary>The image last named by an action; for containers that do not exist yet.</summary>
    public string Image { get; init; } = "";

    /// <summary>Oldest first, at most <see cref="StateSink.MaxEvents"/>.</summary>
    public IReadOnlyList<KeyEvent> Events { get; init; } = [];

    [JsonIgnore]
    public ResourceKey Key => new(Kind, Namespace, Name);
}

/// <param name="Count">How often in a row.</param>
public sealed record KeyEvent(DateTimeOffset At, bool Warning, string Text, int Count = 1);

public sealed record PullState(string Reference, DateTimeOffset StartedAt, IReadOnlyList<LayerState> Layers)
{
    public static IReadOnlyList<PullState> Of(IEnumerable<PullProgress> pulls) =>
        [.. pulls.Select(pull => new PullState(pull.Reference, pull.StartedAt, [.. pull.Items.Select(item => new LayerState(item.Ref, item.Status, item.Offset, item.Total))]))];
}

/// <param name="Ref">Digest of the blob.</param>
/// <param name="Status">resolving, waiting, downloading, done, exists, unpacking, unpacked.</param>
/// <param name="Offset">Bytes that are there.</param>
/// <param name="Total">Bytes in all; 0 = not known yet.</param>
public sealed record LayerState(string Ref, string Status, long Offset, long Total);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault,
    UseStringEnumConverter = true)]
[JsonSerializable(typeof(AgentState))]
internal sealed partial class AgentStateJson : JsonSerializerContext;
