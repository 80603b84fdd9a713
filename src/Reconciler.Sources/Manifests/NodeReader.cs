using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Reconciler.Sources.Manifests;

/// <summary>A document that is no document: bad syntax, or more than the limits allow.</summary>
internal sealed class ManifestSyntaxException(int line, string message, string remedy) : Exception(message)
{
    public int Line { get; } = line;

    public string Remedy { get; } = remedy;
}

/// <summary>Builds the node tree of one document out of parse events, within limits that no alias bomb or nesting gets past.</summary>
internal sealed class NodeReader
{
    public const int MaxDepth = 64;
    public const int MaxNodes = 100_000;

    private const string CoreTags = "tag:yaml.org,2002:";

    private readonly Parser _parser;
    private readonly int _linesBefore;
    private readonly Dictionary<string, ManifestNode> _anchors = new(StringComparer.Ordinal);
    private int _nodes;

    private NodeReader(string text, int linesBefore)
    {
        _parser = new Parser(new StringReader(text));
        _linesBefore = linesBefore;
    }

    /// <summary>The root, or null for a document without content.</summary>
    /// <param name="text">One YAML or JSON document.</param>
    /// <param name="linesBefore">Lines of the file before it.</param>
    /// <exception cref="ManifestSyntaxException">Bad syntax, an unknown tag or alias, or a limit.</exception>
    public static ManifestNode? Read(string text, int linesBefore)
    {
        var reader = new NodeReader(text, linesBefore);
        try
        {
            return reader.ReadDocument();
        }
        catch (YamlException e)
        {
            // What is missing at the end is reported after the last line; the last line with text is where to look.
            var last = linesBefore + text.AsSpan().TrimEnd().Count('\n') + 1;
            var line = e.Message.Contains("tab as indentation", StringComparison.Ordinal) ? linesBefore + TabIn(text) : reader.LineOf(e.Start);
            throw new ManifestSyntaxException(Math.Min(line, last), OneLine(e), "check indentation, quotes and brackets around this line");
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException or FormatException or OverflowException or IndexOutOfRangeException)
        {
            throw new ManifestSyntaxException(linesBefore + 1, "is not YAML", "check indentation, quotes and brackets");
        }
    }

    private ManifestNode? ReadDocument()
    {
        ManifestNode? root = null;
        while (_parser.MoveNext())
        {
            if (_parser.Current is StreamStart or DocumentStart or DocumentEnd or StreamEnd or Comment) continue;
            if (root is not null) throw new ManifestSyntaxException(Line, "a second document begins here without a separator", "write --- between documents");
            root = ReadNode(1);
        }
        return root is ScalarNode { Kind: ScalarKind.Null } ? null : root;
    }

    /// <summary>The node that begins at the current event; leaves the parser on its last event.</summary>
    private ManifestNode ReadNode(int depth)
    {
        if (depth > MaxDepth) throw new ManifestSyntaxException(Line, $"is nested deeper than {MaxDepth} levels", "flatten it");
        if (++_nodes > MaxNodes) throw TooLarge(Line);
        switch (_parser.Current)
        {
            case AnchorAlias alias:
                if (!_anchors.TryGetValue(alias.Value.Value, out var target))
                    throw new ManifestSyntaxException(Line, "an alias has no anchor before it", "define it with & first, or quote a value that begins with *");
                return target;
            case Scalar scalar:
                return Anchored(scalar, new ScalarNode(scalar.Value, IsPlain(scalar), Line));
            case SequenceStart start:
                CheckTag(start, "seq");
                return Anchored(start, Limited(ReadSequence(Line, depth)));
            case MappingStart start:
                CheckTag(start, "map");
                return Anchored(start, Limited(ReadMapping(Line, depth)));
            default:
                throw new ManifestSyntaxException(Line, "ends too early", "complete the document");
        }
    }

    private SequenceNode ReadSequence(int line, int depth)
    {
        var items = new List<ManifestNode>();
        while (Next() is not SequenceEnd) items.Add(ReadNode(depth + 1));
        return new SequenceNode(items, line);
    }

    private MappingNode ReadMapping(int line, int depth)
    {
        var entries = new List<KeyValuePair<ScalarNode, ManifestNode>>();
        var merged = new List<ManifestNode>();
        while (Next() is not MappingEnd)
        {
            var merge = _parser.Current is Scalar { Value: "<<", Style: ScalarStyle.Plain };
            var keyLine = Line;
            if (ReadNode(depth + 1) is not ScalarNode key) throw new ManifestSyntaxException(keyLine, "a key must be a string", "check the brackets");
            Next();
            var value = ReadNode(depth + 1);
            if (merge) merged.Add(value);
            else entries.Add(new(key, value));
        }
        foreach (var value in merged) Merge(entries, value);
        return new MappingNode(entries, line);
    }

    private void Merge(List<KeyValuePair<ScalarNode, ManifestNode>> entries, ManifestNode value)
    {
        var sources = value is SequenceNode list ? list.Items : [value];
        var present = entries.Select(entry => entry.Key.Text).ToHashSet(StringComparer.Ordinal);
        foreach (var source in sources)
        {
            if (source is not MappingNode mapping) throw new ManifestSyntaxException(value.Line, "<< merges mappings only", "name a mapping");
            foreach (var entry in mapping.Entries)
                if (present.Add(entry.Key.Text))
                    entries.Add(entry);
            if ((_nodes += mapping.Entries.Count) > MaxNodes) throw TooLarge(value.Line);
        }
    }

    private ParsingEvent Next() => _parser.MoveNext() && _parser.Current is { } current
        ? current
        : throw new ManifestSyntaxException(_linesBefore + 1, "ends too early", "complete the document");

    private ManifestNode Anchored(NodeEvent start, ManifestNode node)
    {
        if (!start.Anchor.IsEmpty) _anchors[start.Anchor.Value] = node;
        return node;
    }

    /// <summary>Aliases make small files stand for huge trees; what they stand for is counted.</summary>
    private static ManifestNode Limited(ManifestNode node)
    {
        if (node.Size > MaxNodes) throw TooLarge(node.Line);
        return node.Depth <= MaxDepth ? node : throw new ManifestSyntaxException(node.Line, $"is nested deeper than {MaxDepth} levels", "flatten it");
    }

    private bool IsPlain(Scalar scalar)
    {
        if (scalar.Tag.IsEmpty) return scalar.Style == ScalarStyle.Plain;
        if (scalar.Tag.IsNonSpecific || scalar.Tag.Value == CoreTags + "str") return false;
        if (scalar.Tag.Value is CoreTags + "int" or CoreTags + "float" or CoreTags + "bool" or CoreTags + "null") return true;
        throw UnknownTag();
    }

    private void CheckTag(NodeEvent start, string expected)
    {
        if (!start.Tag.IsEmpty && !start.Tag.IsNonSpecific && start.Tag.Value != CoreTags + expected) throw UnknownTag();
    }

    private ManifestSyntaxException UnknownTag() => new(Line, "a tag has no meaning here", "remove it, or quote a value that begins with !");

    private static ManifestSyntaxException TooLarge(int line) =>
        new(line, $"stands for more than {MaxNodes} values", "split it; aliases count as often as they are used");

    private int Line => LineOf(_parser.Current?.Start ?? Mark.Empty);

    private int LineOf(Mark mark) => _linesBefore + Math.Max(1, (int)mark.Line);

    /// <summary>The parser names the line where the mapping begins; this is the first one that a tab indents, from 1.</summary>
    private static int TabIn(string text)
    {
        var line = 1;
        foreach (var content in text.AsSpan().EnumerateLines())
        {
            if (content[..^content.TrimStart().Length].Contains('\t')) return line;
            line++;
        }
        return 1;
    }

    private static string OneLine(YamlException e)
    {
        var message = (e.InnerException ?? e).Message.ReplaceLineEndings(" ");
        var place = message.IndexOf("): ", StringComparison.Ordinal);
        return "is not YAML: " + (message.StartsWith('(') && place > 0 ? message[(place + 3)..] : message);
    }
}
