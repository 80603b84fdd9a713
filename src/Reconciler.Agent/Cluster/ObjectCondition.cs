using System.Text.Json;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Cluster;

/// <summary>A condition of an object's status.</summary>
/// <param name="Type">As Ready.</param>
/// <param name="IsTrue">False for Unknown, too.</param>
/// <param name="Reason">CamelCase word.</param>
/// <param name="Message">One sentence; may be empty.</param>
/// <param name="Since">lastTransitionTime.</param>
/// <param name="ObservedGeneration">Of the object, when it was written.</param>
internal sealed record ObjectCondition(string Type, bool IsTrue, string Reason, string Message, DateTimeOffset Since, long ObservedGeneration)
{
    private const int LongestMessage = 1024;

    public static IEnumerable<ObjectCondition> ReadAll(JsonElement status) => status.Items("conditions").Select(condition => new ObjectCondition(
        condition.Text("type"),
        condition.Text("status") == "True",
        condition.Text("reason"),
        condition.Text("message"),
        condition.Time("lastTransitionTime") ?? DateTimeOffset.UnixEpoch,
        condition.Number("observedGeneration") ?? 0));

    public static void WriteAll(Utf8JsonWriter json, IEnumerable<ObjectCondition> conditions)
    {
        json.WriteStartArray("conditions");
        foreach (var condition in conditions) condition.Write(json);
        json.WriteEndArray();
    }

    private void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("type", Type);
        json.WriteString("status", IsTrue ? "True" : "False");
        json.WriteString("reason", Reason);
        json.WriteString("message", Message);
        json.WriteString("lastTransitionTime", ClusterTime.Seconds(Since));
        json.WriteNumber("observedGeneration", ObservedGeneration);
        json.WriteEndObject();
    }

    /// <summary>Since when: a condition that keeps its status keeps its time.</summary>
    public static ObjectCondition Now(string type, bool isTrue, string reason, string message, long generation, ObjectCondition? before, DateTimeOffset now) => new(
        type,
        isTrue,
        reason,
        Short(message),
        before is not null && before.IsTrue == isTrue ? before.Since : Second(now),
        generation);

    /// <summary>The API takes 32768 characters; a screen has fewer.</summary>
    public static string Short(string message) => message.Length <= LongestMessage ? message : message[..(LongestMessage - 3)] + "...";

    /// <summary>Times of objects have no fractions.</summary>
    public static DateTimeOffset Second(DateTimeOffset time) => new(time.UtcTicks - time.UtcTicks % TimeSpan.TicksPerSecond, TimeSpan.Zero);
}
