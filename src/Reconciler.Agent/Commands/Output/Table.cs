using System.Text;

namespace Reconciler.Agent.Commands.Output;

/// <summary>A table as kubectl prints it: upper-case headers, columns three blanks apart, no lines, nothing cut off.</summary>
internal sealed class Table(params string[] headers)
{
    private const int Gap = 3;
    private const string Empty = "<none>";

    private readonly List<string[]> _rows = [];
    private readonly int[] _widths = [.. headers.Select(header => header.Length)];

    public void Add(params string[] cells)
    {
        _rows.Add([.. cells.Select(cell => cell.Length == 0 ? Empty : cell)]);
        for (var i = 0; i < _widths.Length; i++) _widths[i] = Math.Max(_widths[i], _rows[^1][i].Length);
    }

    /// <summary>The row added last, below a table that was printed before: columns may have become wider since, never narrower.</summary>
    public string LastLine() => Line(_rows[^1]);

    public override string ToString() => string.Concat(_rows.Prepend(headers).Select(Line));

    private string Line(string[] row)
    {
        var text = new StringBuilder();
        for (var i = 0; i < row.Length - 1; i++) text.Append(row[i].PadRight(_widths[i] + Gap));
        return text.Append(row[^1]).Append('\n').ToString();
    }
}
