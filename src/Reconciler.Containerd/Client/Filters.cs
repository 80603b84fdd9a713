using System.Buffers;

namespace Reconciler.Containerd;

/// <summary>containerd's filter language, read as far as it takes to tell a well-formed filter.</summary>
internal static class Filters
{
    private static readonly SearchValues<char> FieldCharacters = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
    private const string HexDigits = "0123456789ABCDEFabcdef";

    /// <param name="filters">Null or none = no filter; an empty one matches everything.</param>
    /// <exception cref="ArgumentException">One is malformed; the message names the rule.</exception>
    public static void Require(IReadOnlyList<string>? filters)
    {
        foreach (var filter in filters ?? [])
        {
            if (filter is null) throw new ArgumentException("a filter is null", nameof(filters));
            if (filter.Length > 0 && Broken(filter) is { } rule) throw new ArgumentException($"filter \"{filter}\": {rule}", nameof(filters));
        }
    }

    private static string? Broken(ReadOnlySpan<char> rest)
    {
        if (rest.Contains('\0')) return "it holds a NUL";
        while (true)
        {
            if (Condition(ref rest) is { } rule) return rule;
            if (rest.IsEmpty) return null;
            if (rest[0] != ',') return "after a condition only a comma may follow";
            rest = rest[1..];
        }
    }

    private static string? Condition(ref ReadOnlySpan<char> rest)
    {
        while (true)
        {
            rest = rest.TrimStart();
            if (!Field(ref rest)) return "a field must be of letters, digits, - and _, or in double quotes";
            if (rest.IsEmpty || rest[0] != '.') break;
            rest = rest[1..];
        }
        if (rest.IsEmpty || rest[0] == ',') return null;
        rest = rest.TrimStart();
        var length = rest.IndexOfAnyExcept("=!~");
        if (length < 0) length = rest.Length;
        if (rest[..length] is not ("==" or "!=" or "~=")) return "the operators are ==, != and ~=";
        rest = rest[length..].TrimStart();
        return Value(ref rest) ? null : "a value must be a word, or closed by the quote \", / or | that begins it";
    }

    private static bool Field(ref ReadOnlySpan<char> rest)
    {
        if (rest is ['"', ..]) return Quoted(ref rest);
        var length = rest.IndexOfAnyExcept(FieldCharacters);
        if (length < 0) length = rest.Length;
        rest = rest[length..];
        return length > 0;
    }

    private static bool Value(ref ReadOnlySpan<char> rest)
    {
        if (rest.IsEmpty || rest[0] is ',' or '.') return false;
        if (rest[0] is '"' or '/' or '|') return Quoted(ref rest);
        var length = 1;
        while (length < rest.Length && rest[length] != ',' && !char.IsWhiteSpace(rest[length]) && !char.IsControl(rest[length])) length++;
        rest = rest[length..];
        return true;
    }

    private static bool Quoted(ref ReadOnlySpan<char> rest)
    {
        var quote = rest[0];
        for (var at = 1; at < rest.Length;)
        {
            if (rest[at] == '\n') return false;
            if (rest[at] == quote)
            {
                rest = rest[(at + 1)..];
                return true;
            }
            var length = rest[at] == '\\' ? Escape(rest[at..], quote) : 1;
            if (length == 0) return false;
            at += length;
        }
        return false;
    }

    /// <returns>Its length; 0 = it is none.</returns>
    private static int Escape(ReadOnlySpan<char> text, char quote)
    {
        if (text.Length < 2) return 0;
        if (text[1] == quote || "abfnrtv\\".Contains(text[1], StringComparison.Ordinal)) return 2;
        return text[1] switch
        {
            'x' => Digits(text, 2, 2, HexDigits),
            'u' => Digits(text, 2, 4, HexDigits),
            'U' => Digits(text, 2, 8, HexDigits),
            _ => Digits(text, 1, 3, "01234567"),
        };
    }

    private static int Digits(ReadOnlySpan<char> text, int start, int count, string digits) =>
        text.Length >= start + count && !text.Slice(start, count).ContainsAnyExcept(digits) ? start + count : 0;
}
