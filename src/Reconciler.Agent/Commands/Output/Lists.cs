using System.Globalization;
using System.Text.Json.Nodes;

namespace Reconciler.Agent.Commands.Output;

/// <summary>How rows of one kind are shown.</summary>
/// <param name="Kind">Of the list, for JSON and YAML.</param>
/// <param name="Name">As <c>-o name</c> prints it; no two rows share one.</param>
/// <param name="Json">One item.</param>
/// <param name="Headers">Of the table.</param>
/// <param name="Cells">Of one row, at a time.</param>
internal sealed record RowShape<TRow>(string Kind, Func<TRow, string> Name, Func<TRow, JsonObject> Json, string[] Headers, Func<TRow, DateTimeOffset, string[]> Cells)
{
    /// <summary>The whole list.</summary>
    public string Of(IReadOnlyList<TRow> rows, OutputFormat format, DateTimeOffset now)
    {
        if (format is OutputFormat.Json or OutputFormat.Yaml) return ListOutput.Document(Kind, rows.Select(Json), format);
        if (format == OutputFormat.Name) return string.Concat(rows.Select(row => Name(row) + "\n"));
        var table = new Table(Headers);
        foreach (var row in rows) table.Add(Cells(row, now));
        return table.ToString();
    }
}

/// <summary>The lists of <c>get</c> in every form of <c>-o</c>.</summary>
internal static class Lists
{
    public const string Age = "AGE";
    public const string State = "STATE";

    private static readonly string[] ContainerHeaders = ["NAMESPACE", "WORKLOAD", "CONTAINER", State, "READY", "RESTARTS", Age, "REASON", "IMAGE"];
    private static readonly string[] ImageHeaders = ["IMAGE", "DIGEST", "SIZE", State, Age, "USED-BY"];

    public static RowShape<ContainerRow> Containers(bool wide, string node, bool showProcess) => new(
        "ContainerList",
        row => $"container/{row.Key.Namespace}/{row.Key.Name}",
        row => row.ToJson(node, showProcess),
        wide ? [.. ContainerHeaders, "ID", "PID", "PIDS", "NODE", "SOURCE", "DIGEST"] : ContainerHeaders,
        (row, now) => wide ? [.. Narrow(row, now), .. Wide(row, node)] : [.. Narrow(row, now)]);

    public static RowShape<ImageRow> Images(bool wide) => new(
        "ImageList",
        row => $"image/{row.Reference}",
        row => row.ToJson(),
        wide ? [.. ImageHeaders, "LAYERS"] : ImageHeaders,
        (row, now) => wide ? [.. ImageCells(row, wide, now), row.Layers()] : [.. ImageCells(row, wide, now)]);

    public static string Of(IReadOnlyList<ContainerRow> rows, OutputFormat format, string node, DateTimeOffset now, bool showProcess) =>
        Containers(format == OutputFormat.Wide, node, showProcess).Of(rows, format, now);

    public static string Of(IReadOnlyList<ImageRow> rows, OutputFormat format, DateTimeOffset now) => Images(format == OutputFormat.Wide).Of(rows, format, now);

    private static IEnumerable<string> Narrow(ContainerRow row, DateTimeOffset now) =>
    [
        row.Key.Namespace, row.Workload, row.Container, row.State, row.Ready ? "True" : "False", Number(row.Actual?.Restarts ?? 0),
        Units.Age(row.Since, now), row.Reason, row.Image,
    ];

    private static IEnumerable<string> Wide(ContainerRow row, string node) =>
    [
        row.Actual?.Id ?? "",
        row.Actual is { Pid: > 0 } running ? Number(running.Pid) : "",
        row.Processes is { } processes ? Number(processes.Count) : "",
        node,
        row.Actual?.Source ?? "",
        row.Actual?.ImageDigest ?? "",
    ];

    private static IEnumerable<string> ImageCells(ImageRow row, bool wide, DateTimeOffset now)
    {
        var digest = row.Facts?.Digest ?? "";
        return
        [
            row.Reference, wide || digest.Length < 19 ? digest : digest[7..19], row.Facts is null ? "" : Units.Size(row.Facts.Size), row.State,
            row.Facts is null ? "" : Units.Age(row.Facts.CreatedAt, now), row.UsedBy(),
        ];
    }

    private static string Number(int number) => number.ToString(CultureInfo.InvariantCulture);
}
