namespace Reconciler.Agent.Commands.Output;

/// <summary>What a list shows after the first time: each row that differs from what was shown of it last, and the ones that went.</summary>
internal sealed class RowChanges<TRow>(RowShape<TRow> shape, OutputFormat format)
{
    private readonly Table _table = new(shape.Headers);
    private readonly Dictionary<string, (string Seen, TRow Row)> _shown = new(StringComparer.Ordinal);
    private readonly int _age = Array.IndexOf(shape.Headers, Lists.Age);
    private readonly int _state = Array.IndexOf(shape.Headers, Lists.State);
    private bool _begun;

    /// <returns>Text to print; empty = nothing changed.</returns>
    public string Next(IReadOnlyList<TRow> rows, DateTimeOffset now)
    {
        var changed = rows.Where(row => !_shown.TryGetValue(shape.Name(row), out var before) || before.Seen != SeenOf(row, now)).ToList();
        var there = rows.Select(shape.Name).ToHashSet(StringComparer.Ordinal);
        var gone = _shown.Where(pair => !there.Contains(pair.Key)).Select(pair => pair.Value.Row).ToList();
        foreach (var row in changed) _shown[shape.Name(row)] = (SeenOf(row, now), row);
        foreach (var row in gone) _shown.Remove(shape.Name(row));
        return string.Concat([Header(changed, now), .. changed.Select(row => Text(row, now, gone: false)), .. gone.Select(row => Text(row, now, gone: true))]);
    }

    /// <summary>The header, with columns for all that follows at once.</summary>
    private string Header(List<TRow> changed, DateTimeOffset now)
    {
        if (_begun || changed.Count == 0 || format is not (OutputFormat.Table or OutputFormat.Wide)) return "";
        _begun = true;
        var first = new Table(shape.Headers);
        foreach (var row in changed)
        {
            first.Add(shape.Cells(row, now));
            _table.Add(shape.Cells(row, now));
        }
        return first.ToString().Split('\n')[0] + "\n";
    }

    private string Text(TRow row, DateTimeOffset now, bool gone)
    {
        if (format is OutputFormat.Json or OutputFormat.Yaml)
        {
            var json = shape.Json(row);
            if (gone) json["state"] = "Removed";
            return format == OutputFormat.Json ? JsonText.Of(json, indented: false) + "\n" : "---\n" + YamlText.Of(json);
        }
        if (format == OutputFormat.Name) return gone ? "" : shape.Name(row) + "\n";
        var cells = shape.Cells(row, now);
        if (gone) cells[_state] = "Removed";
        _table.Add(cells);
        return _table.LastLine();
    }

    /// <summary>All that is shown but the age, which changes by itself.</summary>
    private string SeenOf(TRow row, DateTimeOffset now)
    {
        if (format is OutputFormat.Json or OutputFormat.Yaml) return JsonText.Of(shape.Json(row), indented: false);
        if (format == OutputFormat.Name) return "";
        var cells = shape.Cells(row, now);
        cells[_age] = "";
        return string.Join('\n', cells);
    }
}
