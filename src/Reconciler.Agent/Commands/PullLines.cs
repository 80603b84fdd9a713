using Reconciler.Agent.Commands.Output;
using Reconciler.Containerd;

namespace Reconciler.Agent.Commands;

/// <summary>Progress of a pull as lines: one per item and change of status, and one per quarter of a download.</summary>
internal sealed class PullLines(TextWriter error) : IProgress<ProgressInfo>
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, string> _said = new(StringComparer.Ordinal);

    public void Report(ProgressInfo value)
    {
        var text = value is { Status: "downloading", Total: > 0 }
            ? $"downloading {25 * (4 * value.Offset / value.Total)}% of {Units.Size(value.Total)}"
            : value.Status;
        lock (_lock)
        {
            if (_said.GetValueOrDefault(value.Ref) == text) return;
            _said[value.Ref] = text;
            error.WriteLine($"{Short(value.Ref)}: {text}");
        }
    }

    public static string Short(string item)
    {
        var at = item.IndexOf("sha256:", StringComparison.Ordinal);
        return at >= 0 && item.Length >= at + 19 ? item[(at + 7)..(at + 19)] : item;
    }
}
