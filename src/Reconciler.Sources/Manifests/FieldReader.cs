using System.Globalization;

namespace Reconciler.Sources.Manifests;

/// <summary>Reads one mapping strictly: every wrong type is reported, and <see cref="Close"/> reports each field nobody asked for.</summary>
internal sealed class FieldReader
{
    private readonly MappingNode _node;
    private readonly ProblemList _problems;
    private readonly HashSet<string> _known = new(StringComparer.Ordinal);

    public FieldReader(MappingNode node, string path, ProblemList problems)
    {
        _node = node;
        _problems = problems;
        Path = path;
        ReportRepeated(node, path, problems);
    }

    public string Path { get; }

    public int Line => _node.Line;

    public string PathOf(string name) => Join(Path, name);

    /// <summary>The line of a field or of a list's entry (<c>name[0]</c>), or of the mapping where it is absent.</summary>
    public int LineOf(string name)
    {
        var bracket = name.IndexOf('[', StringComparison.Ordinal);
        if (bracket < 0) return _node.Find(name)?.Line ?? Line;
        var index = int.Parse(name.AsSpan(bracket + 1, name.Length - bracket - 2), CultureInfo.InvariantCulture);
        return _node.Find(name[..bracket]) is SequenceNode list ? list.Items[index].Line : Line;
    }

    public void Problem(string name, string message, string remedy) => _problems.Add(LineOf(name), PathOf(name), message, remedy);

    public void Warn(string name, string message, string remedy) => _problems.Warn(LineOf(name), PathOf(name), message, remedy);

    public bool Has(string name) => _node.Find(name) is not (null or ScalarNode { Kind: ScalarKind.Null });

    /// <summary>The value; null where absent or YAML null, which mean the same.</summary>
    public ManifestNode? Take(string name)
    {
        _known.Add(name);
        return Has(name) ? _node.Find(name) : null;
    }

    /// <summary>Accepts fields without looking at them.</summary>
    public void Ignore(params ReadOnlySpan<string> names)
    {
        foreach (var name in names) _known.Add(name);
    }

    /// <param name="name">The field.</param>
    /// <param name="max">Most characters.</param>
    /// <param name="secret">No message may repeat it.</param>
    public string? Text(string name, int? max = null, bool secret = false)
    {
        Know(name, "string", known => known with { Max = max });
        return Take(name) is { } node ? TextOf(node, PathOf(name), _problems, max, secret) : null;
    }

    /// <summary>A string that must be there and not empty; null after a problem was reported.</summary>
    public string? RequiredText(string name, int? max = null)
    {
        Know(name, "string", known => known with { Required = true, Max = max });
        if (Take(name) is not { } node)
        {
            _problems.Add(LineOf(name), PathOf(name), "is required", "add it");
            return null;
        }
        if (TextOf(node, PathOf(name), _problems, max) is not { } text) return null;
        if (text.Length > 0) return text;
        Problem(name, "must not be empty", "give a value");
        return null;
    }

    public bool Boolean(string name, bool fallback)
    {
        Know(name, "boolean", known => known with { Default = fallback ? "true" : "false" });
        return Boolean(name) ?? fallback;
    }

    public bool? Boolean(string name)
    {
        Know(name, "boolean");
        switch (Take(name))
        {
            case null:
                return null;
            case ScalarNode { Kind: ScalarKind.Boolean } scalar when scalar.Text.ToLowerInvariant() is "true" or "false":
                return scalar.Text[0] is 't' or 'T';
            case ScalarNode { Kind: ScalarKind.Boolean }:
                Problem(name, "must be true or false", "yes, no, on and off are words here, though not for kubectl");
                return null;
            case var other:
                WrongType(other, PathOf(name), "true or false", "write true or false without quotes");
                return null;
        }
    }

    public long Integer(string name, long min, long max, long fallback)
    {
        Know(name, "integer", known => known with { Default = fallback.ToString(CultureInfo.InvariantCulture) });
        return Integer(name, min, max) ?? fallback;
    }

    public long? Integer(string name, long min, long max)
    {
        Know(name, "integer", known => known with { Range = (min, max) });
        switch (Take(name))
        {
            case null:
                return null;
            case ScalarNode { Kind: ScalarKind.Integer, IsDecimal: false } scalar:
                NotDecimal(name, scalar);
                return null;
            case ScalarNode { Kind: ScalarKind.Integer } scalar
                when long.TryParse(scalar.Text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) && value >= min && value <= max:
                return value;
            case ScalarNode { Kind: ScalarKind.Integer } scalar:
                Problem(name, $"{Shown(scalar.Text)} is out of range", $"a whole number from {min} to {max}");
                return null;
            case var other:
                WrongType(other, PathOf(name), "a whole number", $"a whole number from {min} to {max} without quotes");
                return null;
        }
    }

    /// <summary>Reports an integer that kubectl might take for another one.</summary>
    public void NotDecimal(string name, ScalarNode scalar) =>
        Problem(name, $"{Shown(scalar.Text)} is no plain decimal number", "digits only, without leading zeros, _, 0x or 0o; kubectl would take 010 for 8");

    /// <summary>One of a few words; null where absent or after a problem.</summary>
    public string? Choice(string name, params ReadOnlySpan<string> words)
    {
        if (_problems.Known is not null) KnowWords(name, words.ToArray());
        if (Text(name) is not { } text) return null;
        foreach (var word in words)
            if (word == text)
                return word;
        Problem(name, $"\"{Shown(text)}\" is not known", Nearest.Find(text, words) is { } near ? $"did you mean \"{near}\"?" : $"one of {string.Join(", ", words)}");
        return null;
    }

    /// <summary>One of a few words, the first one where absent.</summary>
    public string? ChoiceOrFirst(string name, params ReadOnlySpan<string> words)
    {
        var first = words[0];
        Know(name, "string", known => known with { Default = $"\"{first}\"" });
        var word = Choice(name, words);
        return Has(name) ? word : first;
    }

    /// <summary>The node of a field that is written as a number or as a string.</summary>
    public ManifestNode? IntegerOrText(string name, string? fallback = null)
    {
        Know(name, "int-or-string", known => known with { Default = fallback });
        return Take(name);
    }

    public FieldReader? Mapping(string name)
    {
        Know(name, "object");
        return Take(name) is { } node ? MappingOf(node, PathOf(name)) : null;
    }

    public FieldReader? RequiredMapping(string name)
    {
        Know(name, "object", known => known with { Required = true });
        if (Has(name)) return Mapping(name);
        _known.Add(name);
        _problems.Add(LineOf(name), PathOf(name), "is required", "add it");
        return null;
    }

    /// <summary>The mappings of a list; items of another type are reported and left out.</summary>
    public List<FieldReader> Mappings(string name, int max)
    {
        Know(name, "list of object", known => known with { Max = max });
        var result = new List<FieldReader>();
        var index = 0;
        foreach (var item in Items(name, max))
            if (MappingOf(item, $"{PathOf(name)}[{index++}]") is { } reader)
                result.Add(reader);
        return result;
    }

    /// <param name="name">The field.</param>
    /// <param name="max">Most entries.</param>
    /// <param name="length">Most characters of an entry.</param>
    public List<string> Texts(string name, int max, int? length = null)
    {
        Know(name, "list of string", known => known with { Max = max });
        Know(name + "[0]", "string", known => known with { Max = length });
        var result = new List<string>();
        var index = 0;
        foreach (var item in Items(name, max))
            if (TextOf(item, $"{PathOf(name)}[{index++}]", _problems, length) is { } text)
                result.Add(text);
        return result;
    }

    /// <summary>A mapping of free keys to strings, as labels are.</summary>
    /// <param name="name">The field.</param>
    /// <param name="max">Most entries.</param>
    public Dictionary<string, string> TextMap(string name, int? max = null)
    {
        Know(name, "map of string", known => known with { Max = max });
        var result = new Dictionary<string, string>(StringComparer.Ordinal);
        if (Take(name) is not { } node) return result;
        if (node is not MappingNode mapping)
        {
            WrongType(node, PathOf(name), "a mapping", "write key: value lines");
            return result;
        }
        ReportRepeated(mapping, PathOf(name), _problems);
        if (mapping.Entries.Count > max) Problem(name, $"has {mapping.Entries.Count} entries", $"at most {max}");
        foreach (var (key, value) in mapping.Entries)
        {
            if (!key.IsSameKey) _problems.Add(key.Line, Join(PathOf(name), Shown(key.Text)), $"must be a string, not {key.Described}", $"quote it: \"{Shown(key.Text)}\"");
            else if (TextOf(value, Join(PathOf(name), key.Text), _problems) is { } text) result.TryAdd(key.Text, text);
        }
        return result;
    }

    /// <summary>Reports every field that nothing has asked for.</summary>
    /// <param name="hint">What to say of a name that people expect here; null = look for a near one.</param>
    public void Close(Func<string, string?>? hint = null)
    {
        foreach (var (key, value) in _node.Entries)
        {
            if (_known.Contains(key.Text)) continue;
            var remedy = hint?.Invoke(key.Text)
                ?? (Nearest.Find(key.Text, [.. _known]) is { } near ? $"did you mean \"{near}\"?" : $"known here: {string.Join(", ", _known)}");
            _problems.Add(key.Line, PathOf(Shown(key.Text)), "unknown field", remedy);
        }
    }

    private static string? TextOf(ManifestNode node, string path, ProblemList problems, int? max = null, bool secret = false)
    {
        if (node is ScalarNode { Kind: ScalarKind.Text } scalar)
        {
            if (scalar.Text.Contains('\0')) problems.Add(node.Line, path, "must not contain a zero byte", "remove it");
            else if (scalar.Text.Length > max) problems.Add(node.Line, path, $"has {scalar.Text.Length} characters", $"at most {max}");
            else return scalar.Text;
            return null;
        }
        var remedy = node is not ScalarNode { Kind: not ScalarKind.Null } plain ? "write a string" : secret ? "quote it" : $"quote it: \"{Shown(plain.Text)}\"";
        problems.Add(node.Line, path, $"must be a string, not {node.Described}", remedy);
        return null;
    }

    internal static string Shown(string text) => text.Length <= 100 ? text : text[..100] + "...";

    private IReadOnlyList<ManifestNode> Items(string name, int max)
    {
        switch (Take(name))
        {
            case null:
                return [];
            case SequenceNode list when list.Items.Count <= max:
                return list.Items;
            case SequenceNode list:
                Problem(name, $"has {list.Items.Count} entries", $"at most {max}");
                return [];
            case var other:
                WrongType(other, PathOf(name), "a list", "write each entry after a dash");
                return [];
        }
    }

    private FieldReader? MappingOf(ManifestNode node, string path)
    {
        if (node is MappingNode mapping) return new FieldReader(mapping, path, _problems);
        WrongType(node, path, "a mapping", "write key: value lines");
        return null;
    }

    private void KnowWords(string name, string[] words) => Know(name, "string", known => known with { Words = words });

    private void Know(string name, string type, Func<KnownField, KnownField>? more = null)
    {
        if (_problems.Known is not { } all) return;
        var path = PathOf(name);
        var known = all.GetValueOrDefault(path) ?? new KnownField(path, type);
        all[path] = more?.Invoke(known) ?? known;
    }

    private void WrongType(ManifestNode node, string path, string expected, string remedy) =>
        _problems.Add(node.Line, path, $"must be {expected}, not {node.Described}", remedy);

    private static void ReportRepeated(MappingNode node, string path, ProblemList problems)
    {
        var seen = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var (key, _) in node.Entries)
            if (!seen.TryAdd(key.Text, key.Line))
                problems.Add(key.Line, Join(path, Shown(key.Text)), $"is there twice, first on line {seen[key.Text]}", "keep one");
    }

    private static string Join(string path, string name) => path.Length == 0 ? name : $"{path}.{name}";
}
