using System.Text.Json;

namespace Reconciler.Sources.Kubernetes;

public enum WatchEventType
{
    Added,
    Modified,
    Deleted,

    /// <summary>Only the version moved.</summary>
    Bookmark,
}

/// <summary>One line of a watch.</summary>
/// <param name="Type">What happened.</param>
/// <param name="Object">The object after it; before it, for a deletion.</param>
/// <param name="EndsInitial">The bookmark after the last of the objects that were there.</param>
public sealed record WatchEvent(WatchEventType Type, ClusterObject Object, bool EndsInitial)
{
    /// <exception cref="ClusterException">It is an ERROR event, or none at all.</exception>
    internal static WatchEvent Parse(string line)
    {
        try
        {
            using var document = JsonDocument.Parse(line);
            var type = document.RootElement.GetProperty("type").GetString();
            var element = document.RootElement.GetProperty("object");
            if (type == "ERROR") throw ErrorOf(element);
            var known = type switch
            {
                "ADDED" => WatchEventType.Added,
                "MODIFIED" => WatchEventType.Modified,
                "DELETED" => WatchEventType.Deleted,
                "BOOKMARK" => WatchEventType.Bookmark,
                _ => throw new ClusterException(0, "", $"unknown watch event {type}"),
            };
            return new WatchEvent(known, ClusterObject.From(element), known == WatchEventType.Bookmark && IsEnd(element));
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new ClusterException(0, "", $"a watch event cannot be read: {e.Message}", e);
        }
    }

    private static bool IsEnd(JsonElement bookmark) =>
        bookmark.GetProperty("metadata").TryGetProperty("annotations", out var annotations)
        && annotations.TryGetProperty("k8s.io/initial-events-end", out var end) && end.GetString() == "true";

    private static ClusterException ErrorOf(JsonElement status)
    {
        var code = status.TryGetProperty("code", out var number) && number.TryGetInt32(out var value) ? value : 500;
        var reason = status.TryGetProperty("reason", out var word) ? word.GetString() ?? "" : "";
        var message = status.TryGetProperty("message", out var said) ? said.GetString() ?? "" : "";
        return new ClusterException(code, reason, message) { RetryAfter = RetryAfterOf(status) };
    }

    private static TimeSpan? RetryAfterOf(JsonElement status) =>
        status.TryGetProperty("details", out var details) && details.TryGetProperty("retryAfterSeconds", out var seconds) && seconds.TryGetInt32(out var value)
            ? TimeSpan.FromSeconds(value)
            : null;
}
