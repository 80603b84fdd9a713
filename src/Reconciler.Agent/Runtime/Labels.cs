using System.Globalization;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;

namespace Reconciler.Agent.Runtime;

/// <summary>The labels that hold identity and lifecycle of what exists; the node's only memory that counts.</summary>
internal static class Labels
{
    public const string ManagedBy = "reconciler.dev/managed-by";
    public const string Manager = "reconciler";
    public const string Namespace = "reconciler.dev/namespace";
    public const string Workload = "reconciler.dev/workload";
    public const string Container = "reconciler.dev/container";
    public const string Uid = "reconciler.dev/uid";
    public const string Source = "reconciler.dev/source";
    public const string SpecHash = "reconciler.dev/spec-hash";
    public const string Image = "reconciler.dev/image";
    public const string ImageDigest = "reconciler.dev/image-digest";
    public const string Incarnation = "reconciler.dev/incarnation";
    public const string Restarts = "reconciler.dev/restarts";
    public const string Failures = "reconciler.dev/failures";
    public const string CreatedByVersion = "reconciler.dev/created-by-version";
    public const string StartedAt = "reconciler.dev/started-at";
    public const string FinishedAt = "reconciler.dev/finished-at";
    public const string ExitCode = "reconciler.dev/exit-code";
    public const string Reason = "reconciler.dev/reason";
    public const string Grace = "reconciler.dev/grace";
    public const string StopBy = "reconciler.dev/stop-by";

    /// <summary>When someone asked for a restart; gone with the container.</summary>
    public const string RestartWanted = "reconciler.dev/restart-wanted";

    /// <summary>On image records: fetched by the agent, so it may remove them. A key of its own, since ctr copies an image's labels to the containers it makes.</summary>
    public const string ImageManagedBy = "reconciler.dev/image-managed-by";

    /// <summary>On image records: the agent has asked the registry since the image is declared.</summary>
    public const string Resolved = "reconciler.dev/resolved";

    /// <summary>On image records: since when nothing uses it.</summary>
    public const string UnusedSince = "reconciler.dev/unused-since";

    /// <summary>The container extension with <see cref="Core.Model.SpecHash.Canonical"/> of the process it was made from.</summary>
    public const string ProcessExtension = "reconciler.dev/process";
    public const string ProcessType = "reconciler.dev/v1alpha1/Process";

    /// <summary>Written by the client library from the image's config.</summary>
    public const string StopSignal = "io.containerd.image.config.stop-signal";

    /// <summary>containerd's filter for the records that are ours.</summary>
    public const string ManagedFilter = $"labels.\"{ManagedBy}\"=={Manager}";

    private static readonly string Version = typeof(Labels).Assembly.GetName().Version?.ToString(3) ?? "0";

    /// <summary>A container of ours carries its whole identity; with less it is a stranger's.</summary>
    public static bool IsManaged(IReadOnlyDictionary<string, string> labels) =>
        String(labels, ManagedBy) == Manager && String(labels, Workload).Length > 0 && String(labels, Container).Length > 0 && Long(labels, Incarnation) > 0;

    public static bool IsManagedImage(IReadOnlyDictionary<string, string> labels) => String(labels, ImageManagedBy) == Manager;

    public static Dictionary<string, string> Of(NodeAction.CreateContainer action, string digest)
    {
        var spec = action.Spec;
        var labels = new Dictionary<string, string>(StringComparer.Ordinal)
        {
            [ManagedBy] = Manager,
            [Namespace] = spec.Namespace,
            [Workload] = spec.Workload,
            [Container] = spec.Name,
            [Source] = spec.Source,
            [SpecHash] = spec.Hash,
            [Image] = spec.Process.Image,
            [ImageDigest] = digest,
            [Incarnation] = Text(action.Incarnation),
            [Restarts] = Text(action.Restarts),
            [Failures] = Text(action.Failures),
            [CreatedByVersion] = Version,
            [Grace] = Text(spec.GracePeriod),
        };
        if (spec.Uid.Length > 0) labels[Uid] = spec.Uid;
        return labels;
    }

    public static string Text(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fffffff'Z'", CultureInfo.InvariantCulture);

    public static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);

    /// <summary>Seconds.</summary>
    public static string Text(TimeSpan span) => span.TotalSeconds.ToString("0.###", CultureInfo.InvariantCulture);

    public static string String(IReadOnlyDictionary<string, string> labels, string key) => labels.GetValueOrDefault(key, "");

    public static int Int(IReadOnlyDictionary<string, string> labels, string key) =>
        int.TryParse(String(labels, key), NumberStyles.Integer, CultureInfo.InvariantCulture, out var value) ? value : 0;

    public static int? OptionalInt(IReadOnlyDictionary<string, string> labels, string key) =>
        int.TryParse(String(labels, key), NumberStyles.Integer, CultureInfo.InvariantCulture, out var value) ? value : null;

    public static long Long(IReadOnlyDictionary<string, string> labels, string key) =>
        long.TryParse(String(labels, key), NumberStyles.Integer, CultureInfo.InvariantCulture, out var value) ? value : 0;

    public static DateTimeOffset? Time(IReadOnlyDictionary<string, string> labels, string key) =>
        DateTimeOffset.TryParse(String(labels, key), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var value) ? value : null;

    public static TimeSpan? Span(IReadOnlyDictionary<string, string> labels, string key) =>
        double.TryParse(String(labels, key), NumberStyles.Float, CultureInfo.InvariantCulture, out var seconds) && seconds is >= 0 and < int.MaxValue
            ? TimeSpan.FromSeconds(seconds)
            : null;
}
