using System.Globalization;
using System.Text;
using Reconciler.Agent.Commands.Output;
using Reconciler.Containerd;

namespace Reconciler.Agent.Commands;

/// <summary>Progress of a pull on a terminal: one line per item, drawn over in place. To be disposed of at the end, which draws the last state.</summary>
/// <param name="error">The terminal.</param>
/// <param name="time">Clock of the redraws.</param>
/// <param name="size">The terminal's size now.</param>
internal sealed class PullBars(TextWriter error, TimeProvider time, Func<(int Columns, int Rows)> size) : IProgress<ProgressInfo>, IDisposable
{
    private const int Bar = 24;

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    private readonly Lock _lock = new();
    private readonly List<string> _order = [];
    private readonly Dictionary<string, ProgressInfo> _items = new(StringComparer.Ordinal);
    private long? _drawn;
    private int _lines;
    private bool _ended;

    public void Report(ProgressInfo value)
    {
        lock (_lock)
        {
            if (!_items.ContainsKey(value.Ref)) _order.Add(value.Ref);
            _items[value.Ref] = value;
            if (_ended) return;
            if (_drawn is { } last && time.GetElapsedTime(last) < Pause) return;
            Draw();
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            if (_ended) return;
            Draw();
            _ended = true;
        }
    }

    private void Draw()
    {
        _drawn = time.GetTimestamp();
        var (columns, rows) = size();
        // A line above the screen cannot be drawn over: what is done goes first.
        var shown = _order.Select(item => _items[item]).ToList();
        for (var i = 0; shown.Count >= rows && i < shown.Count;)
        {
            if (shown[i].Status is "done" or "exists" or "unpacked") shown.RemoveAt(i);
            else i++;
        }
        if (shown.Count >= rows) shown.RemoveRange(rows - 1, shown.Count - rows + 1);
        var text = new StringBuilder();
        if (_lines > 0) text.Append(CultureInfo.InvariantCulture, $"\e[{_lines}A");
        text.Append("\e[J");
        foreach (var item in shown)
        {
            var line = Line(item);
            text.Append(line.Length < columns ? line : line[..Math.Max(0, columns - 1)]).Append('\n');
        }
        _lines = shown.Count;
        error.Write(text);
        error.Flush();
    }

    private static string Line(ProgressInfo item)
    {
        var name = PullLines.Short(item.Ref);
        if (item is not { Status: "downloading", Total: > 0 }) return $"{name}: {item.Status}";
        var full = (int)Math.Clamp(Bar * item.Offset / item.Total, 0, Bar);
        return $"{name}: [{new string('=', full)}{new string(' ', Bar - full)}] {Units.Size(item.Offset)} of {Units.Size(item.Total)}";
    }
}
