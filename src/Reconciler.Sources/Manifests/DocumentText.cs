using System.Text;

namespace Reconciler.Sources.Manifests;

/// <summary>One document of a file as text.</summary>
/// <param name="Text">Without the lines of its neighbours.</param>
/// <param name="LinesBefore">Lines of the file before it.</param>
internal sealed record DocumentText(string Text, int LinesBefore)
{
    /// <summary>
    /// Cuts at <c>---</c> and <c>...</c> lines before anything is parsed, so that a syntax error costs one document and not the file.
    /// YAML forbids such lines inside a document, quoted text included.
    /// </summary>
    public static IEnumerable<DocumentText> Split(string file)
    {
        var current = new StringBuilder();
        int line = 0, first = 0;
        foreach (var part in file.Split('\n'))
        {
            var end = IsMarker(part, "...");
            if ((end || IsMarker(part, "---")) && !OnlyDirectives(current))
            {
                if (HasContent(current)) yield return new DocumentText(current.ToString(), first);
                current.Clear();
                first = end ? line + 1 : line;
            }
            if (!end) current.Append(part).Append('\n');
            line++;
        }
        if (HasContent(current)) yield return new DocumentText(current.ToString(), first);
    }

    private static bool IsMarker(string line, string marker) =>
        line.StartsWith(marker, StringComparison.Ordinal) && (line.Length == 3 || line[3] is ' ' or '\t' or '\r');

    private static bool HasContent(StringBuilder text) =>
        text.ToString().Split('\n').Any(line => line.Trim() is { Length: > 0 } body && body[0] != '#' && !(IsMarker(line, "---") && body is "---"));

    private static bool OnlyDirectives(StringBuilder text)
    {
        var any = false;
        foreach (var line in text.ToString().Split('\n'))
        {
            var body = line.Trim();
            if (body.Length == 0 || body[0] == '#') continue;
            if (line[0] != '%') return false;
            any = true;
        }
        return any;
    }
}
