using System.Text;

namespace Reconciler.Agent.Commands.Output;

/// <summary>A table as kubectl prints it: upper-case headers, columns three blanks apart, no lines, nothing cut off.</summary>
internal sealed class Table(params string[] headers)
{
    private const int Gap = 3;
    private const string Empty = "<none>";

    private readonly List<string[]> _rows = [];

    public void Add(params string[] cells) => _rows.Add([.. cells.Select(cell => cell.Length == 0 ? Empty : cell)]);

    public override string ToString()
    {
        var widths = headers.Select((header, i) => _rows.Select(row => row[i].Length).Append(header.Length).Max()).ToArray();
        var text = new StringBuilder();
        foreach (var row in _rows.Prepend(headers))
        {
            for (var i = 0; i < row.Length - 1; i++) text.Append(row[i].PadRight(widths[i] + Gap));
            text.Append(row[^1]).Append('\n');
        }
        return text.ToString();
    }
}
