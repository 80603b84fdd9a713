using System.Buffers;
using System.Globalization;

namespace Reconciler.Sources.Manifests;

/// <summary>A node of a document with its line; aliases are shared, never copied, and never form a cycle.</summary>
internal abstract class ManifestNode(int line)
{
    public int Line { get; } = line;

    /// <summary>Nodes below and including this one, as if every alias were copied.</summary>
    public long Size { get; protected init; } = 1;

    /// <summary>Levels below and including this one.</summary>
    public int Depth { get; protected init; } = 1;

    /// <summary>What a person calls it, for messages: never its value, which may be a secret.</summary>
    public abstract string Described { get; }
}

internal enum ScalarKind
{
    Text,
    Null,
    Boolean,
    Integer,
    Float,
}

internal sealed class ScalarNode : ManifestNode
{
    private static readonly string[] Booleans =
        ["true", "True", "TRUE", "false", "False", "FALSE", "yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF", "y", "Y", "n", "N"];

    private static readonly SearchValues<char> Digits = SearchValues.Create("0123456789_");
    private static readonly SearchValues<char> OctalDigits = SearchValues.Create("01234567_");
    private static readonly SearchValues<char> HexDigits = SearchValues.Create("0123456789abcdefABCDEF_");
    private static readonly SearchValues<char> FloatCharacters = SearchValues.Create("0123456789.eE+-_");

    public ScalarNode(string text, bool plain, int line) : base(line)
    {
        Text = text;
        Kind = plain ? Resolve(text) : ScalarKind.Text;
    }

    public string Text { get; }

    /// <summary>By the rules of YAML 1.1, which kubectl follows: an unquoted <c>yes</c> is no string there.</summary>
    public ScalarKind Kind { get; }

    /// <summary>An integer that every reader of YAML takes for the same number: kubectl, by YAML 1.1, takes 010 for 8 and 1_000 for 1000.</summary>
    public bool IsDecimal
    {
        get
        {
            var digits = Text.AsSpan(Text is ['+' or '-', ..] ? 1 : 0);
            var octal = digits is ['0', ..] && !digits.ContainsAnyExcept(OctalDigits) && digits.TrimStart('0').Length > 1;
            return Kind == ScalarKind.Integer && !octal && !digits.ContainsAnyExceptInRange('0', '9');
        }
    }

    /// <summary>As a key it is this text for every reader of YAML: kubectl takes an unquoted <c>on</c> for <c>true</c>.</summary>
    public bool IsSameKey => Kind == ScalarKind.Text
        || (Kind == ScalarKind.Integer && long.TryParse(Text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) && value.ToString(CultureInfo.InvariantCulture) == Text);

    public override string Described => Kind switch
    {
        ScalarKind.Null => "null",
        ScalarKind.Boolean => "a boolean",
        ScalarKind.Integer or ScalarKind.Float => "a number",
        _ => "a string",
    };

    private static ScalarKind Resolve(string text)
    {
        if (text is "" or "~" or "null" or "Null" or "NULL") return ScalarKind.Null;
        if (Booleans.Contains(text)) return ScalarKind.Boolean;
        var body = text[0] is '+' or '-' ? text.AsSpan(1) : text;
        if (body.Length == 0 || !(char.IsAsciiDigit(body[0]) || body[0] == '.')) return ScalarKind.Text;
        if (IsInteger(body)) return ScalarKind.Integer;
        return body is ".inf" or ".Inf" or ".INF" or ".nan" or ".NaN" or ".NAN" || IsFloat(body) ? ScalarKind.Float : ScalarKind.Text;
    }

    private static bool IsInteger(ReadOnlySpan<char> body) => body switch
    {
        ['0', 'x' or 'X', .. { Length: > 0 } hex] => !hex.ContainsAnyExcept(HexDigits),
        ['0', 'o' or 'O', .. { Length: > 0 } octal] => !octal.ContainsAnyExcept(OctalDigits),
        ['0', 'b' or 'B', .. { Length: > 0 } binary] => binary.IndexOfAnyExcept('0', '1', '_') < 0,
        _ => char.IsAsciiDigit(body[0]) && !body.ContainsAnyExcept(Digits),
    };

    private static bool IsFloat(ReadOnlySpan<char> body) =>
        !body.ContainsAnyExcept(FloatCharacters)
        && double.TryParse(body.ToString().Replace("_", "", StringComparison.Ordinal), NumberStyles.Float, CultureInfo.InvariantCulture, out _);
}

internal sealed class SequenceNode : ManifestNode
{
    public SequenceNode(IReadOnlyList<ManifestNode> items, int line) : base(line)
    {
        Items = items;
        Size = 1 + items.Sum(item => item.Size);
        Depth = 1 + items.Select(item => item.Depth).DefaultIfEmpty().Max();
    }

    public IReadOnlyList<ManifestNode> Items { get; }

    public override string Described => "a list";
}

internal sealed class MappingNode : ManifestNode
{
    public MappingNode(IReadOnlyList<KeyValuePair<ScalarNode, ManifestNode>> entries, int line) : base(line)
    {
        Entries = entries;
        Size = 1 + entries.Sum(entry => 1 + entry.Value.Size);
        Depth = 1 + entries.Select(entry => entry.Value.Depth).DefaultIfEmpty().Max();
    }

    /// <summary>In the file's order, merged ones last; keys may repeat.</summary>
    public IReadOnlyList<KeyValuePair<ScalarNode, ManifestNode>> Entries { get; }

    public override string Described => "a mapping";

    public ManifestNode? Find(string key)
    {
        foreach (var (name, value) in Entries)
            if (name.Text == key)
                return value;
        return null;
    }

    /// <summary>The value of a key where it is a string, else null.</summary>
    public string? FindText(string key) => Find(key) is ScalarNode { Kind: ScalarKind.Text } scalar ? scalar.Text : null;
}
