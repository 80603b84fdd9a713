using System.Globalization;

namespace Reconciler.Agent.Commands.Output;

/// <summary>The lists of <c>get</c> in every form of <c>-o</c>.</summary>
internal static class Lists
{
    public static string Of(IReadOnlyList<ContainerRow> rows, OutputFormat format, string node, DateTimeOffset now, bool showProcess) => format switch
    {
        OutputFormat.Json or OutputFormat.Yaml => ListOutput.Document("ContainerList", rows.Select(row => row.ToJson(node, showProcess)), format),
        OutputFormat.Name => string.Concat(rows.Select(row => $"container/{row.Key.Namespace}/{row.Key.Name}\n")),
        OutputFormat.Wide => ContainersWide(rows, node, now),
        _ => Containers(rows, now),
    };

    public static string Of(IReadOnlyList<ImageRow> rows, OutputFormat format, DateTimeOffset now) => format switch
    {
        OutputFormat.Json or OutputFormat.Yaml => ListOutput.Document("ImageList", rows.Select(row => row.ToJson()), format),
        OutputFormat.Name => string.Concat(rows.Select(row => $"image/{row.Reference}\n")),
        _ => Images(rows, format == OutputFormat.Wide, now),
    };

    private static string Containers(IReadOnlyList<ContainerRow> rows, DateTimeOffset now)
    {
        var table = new Table("NAMESPACE", "WORKLOAD", "CONTAINER", "STATE", "READY", "RESTARTS", "AGE", "REASON", "IMAGE");
        foreach (var row in rows) table.Add([.. Narrow(row, now)]);
        return table.ToString();
    }

    private static string ContainersWide(IReadOnlyList<ContainerRow> rows, string node, DateTimeOffset now)
    {
        var table = new Table(
            "NAMESPACE", "WORKLOAD", "CONTAINER", "STATE", "READY", "RESTARTS", "AGE", "REASON", "IMAGE", "ID", "PID", "PIDS", "NODE", "SOURCE", "DIGEST");
        foreach (var row in rows)
        {
            table.Add(
            [
                .. Narrow(row, now),
                row.Actual?.Id ?? "",
                row.Actual is { Pid: > 0 } running ? Number(running.Pid) : "",
                row.Processes is { } processes ? Number(processes.Count) : "",
                node,
                row.Actual?.Source ?? "",
                row.Actual?.ImageDigest ?? "",
            ]);
        }
        return table.ToString();
    }

    private static IEnumerable<string> Narrow(ContainerRow row, DateTimeOffset now) =>
    [
        row.Key.Namespace, row.Workload, row.Container, row.State, row.Ready ? "True" : "False", Number(row.Actual?.Restarts ?? 0),
        Units.Age(row.Since, now), row.Reason, row.Image,
    ];

    private static string Images(IReadOnlyList<ImageRow> rows, bool wide, DateTimeOffset now)
    {
        string[] headers = ["IMAGE", "DIGEST", "SIZE", "STATE", "AGE", "USED-BY"];
        var table = new Table(wide ? [.. headers, "LAYERS"] : headers);
        foreach (var row in rows)
        {
            var digest = row.Facts?.Digest ?? "";
            var cells = new List<string>
            {
                row.Reference, wide || digest.Length < 19 ? digest : digest[7..19], row.Facts is null ? "" : Units.Size(row.Facts.Size), row.State,
                row.Facts is null ? "" : Units.Age(row.Facts.CreatedAt, now), row.UsedBy(),
            };
            if (wide) cells.Add(row.Layers());
            table.Add([.. cells]);
        }
        return table.ToString();
    }

    private static string Number(int number) => number.ToString(CultureInfo.InvariantCulture);
}
