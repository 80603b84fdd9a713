using System.Collections.Immutable;
using System.Text.Json;
using Reconciler.Agent.Cluster;

namespace Reconciler.Agent.Controller;

/// <summary>A taint of a node.</summary>
/// <param name="Key">As node.kubernetes.io/not-ready.</param>
/// <param name="Value">May be empty.</param>
/// <param name="Effect">NoSchedule, PreferNoSchedule or NoExecute.</param>
/// <param name="TimeAdded">Null = not recorded.</param>
internal sealed record Taint(string Key, string Value, string Effect, DateTimeOffset? TimeAdded)
{
    public const string NoSchedule = "NoSchedule";
    public const string NoExecute = "NoExecute";

    /// <summary>Someone says that the node is off, and what ran there may be taken for stopped.</summary>
    public const string OutOfService = "node.kubernetes.io/out-of-service";

    public static Taint Read(JsonElement taint) => new(taint.Text("key"), taint.Text("value"), taint.Text("effect"), taint.Time("timeAdded"));
}

/// <summary>A toleration, matched as Kubernetes matches it.</summary>
/// <param name="Key">Empty = every key.</param>
/// <param name="Exists">Any value; else <paramref name="Value"/>.</param>
/// <param name="Value">Compared where not <paramref name="Exists"/>.</param>
/// <param name="Effect">Empty = every effect.</param>
/// <param name="Seconds">How long a NoExecute taint is borne after it was added; null = for ever.</param>
internal sealed record Toleration(string Key, bool Exists, string Value, string Effect, long? Seconds = null)
{
    /// <summary>What every DaemonSet has.</summary>
    private static readonly ImmutableArray<Toleration> Automatic =
    [
        new("node.kubernetes.io/not-ready", true, "", Taint.NoExecute),
        new("node.kubernetes.io/unreachable", true, "", Taint.NoExecute),
        new("node.kubernetes.io/disk-pressure", true, "", Taint.NoSchedule),
        new("node.kubernetes.io/memory-pressure", true, "", Taint.NoSchedule),
        new("node.kubernetes.io/pid-pressure", true, "", Taint.NoSchedule),
        new("node.kubernetes.io/unschedulable", true, "", Taint.NoSchedule),
    ];

    private static readonly Toleration WithHostNetwork = new("node.kubernetes.io/network-unavailable", true, "", Taint.NoSchedule);

    public static ImmutableArray<Toleration> ReadAll(JsonElement spec, bool hostNetwork) =>
    [
        .. spec.Items("tolerations").Select(item => new Toleration(
            item.Text("key"), item.Text("operator") == "Exists", item.Text("value"), item.Text("effect"), item.Number("tolerationSeconds"))),
        .. Automatic,
        .. hostNetwork ? [WithHostNetwork] : (ReadOnlySpan<Toleration>)[],
    ];

    public bool Tolerates(Taint taint, DateTimeOffset now) =>
        (Effect.Length == 0 || Effect == taint.Effect) && (Key.Length == 0 || Key == taint.Key) && (Exists || Value == taint.Value)
        && (EndOf(taint) is not { } end || now < end);

    /// <summary>When the taint is no longer borne; null = never. Only of one that it matches.</summary>
    public DateTimeOffset? EndOf(Taint taint) =>
        Seconds is { } seconds && taint is { Effect: Taint.NoExecute, TimeAdded: { } added } ? added + TimeSpan.FromSeconds(seconds) : null;
}
