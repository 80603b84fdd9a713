using System.Buffers;
using System.Globalization;
using System.Numerics;

namespace Reconciler.Sources.Manifests;

/// <summary>Kubernetes quantities: a decimal number with an optional suffix or exponent.</summary>
internal static class Quantity
{
    private static readonly SearchValues<char> NumberCharacters = SearchValues.Create("0123456789.");

    /// <summary>The value in thousandths, rounded up; null = not a quantity, or beyond 2^63.</summary>
    public static long? Milli(string text) => Parse(text, 1000);

    /// <summary>The value in units, rounded up; null = not a quantity, or beyond 2^63.</summary>
    public static long? Units(string text) => Parse(text, 1);

    private static long? Parse(string text, int scale)
    {
        var end = text.AsSpan().IndexOfAnyExcept(NumberCharacters);
        var number = end < 0 ? text : text[..end];
        if (number.Length is 0 or > 40 || Factor(end < 0 ? "" : text[end..]) is not var (up, down)) return null;
        var point = number.IndexOf('.', StringComparison.Ordinal);
        if (number.Count(c => c == '.') > 1 || number == ".") return null;
        var digits = number.Replace(".", "", StringComparison.Ordinal);
        var value = BigInteger.Parse(digits, NumberStyles.None, CultureInfo.InvariantCulture) * up * scale;
        var divisor = down * BigInteger.Pow(10, point < 0 ? 0 : number.Length - point - 1);
        var rounded = (value + divisor - 1) / divisor;
        return rounded <= long.MaxValue ? (long)rounded : null;
    }

    private static (BigInteger Up, BigInteger Down)? Factor(string suffix) => suffix switch
    {
        "" => (1, 1),
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1000),
        "k" => (1000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (BigInteger.Pow(10, 12), 1),
        "P" => (BigInteger.Pow(10, 15), 1),
        "E" => (BigInteger.Pow(10, 18), 1),
        "Ki" => (1L << 10, 1),
        "Mi" => (1L << 20, 1),
        "Gi" => (1L << 30, 1),
        "Ti" => (1L << 40, 1),
        "Pi" => (1L << 50, 1),
        "Ei" => (1L << 60, 1),
        ['e' or 'E', .. { Length: > 0 and <= 3 } exponent]
            when (exponent.Length < 3 || !char.IsAsciiDigit(exponent[0])) && int.TryParse(exponent, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var power) && power is >= -18 and <= 18 =>
            power >= 0 ? (BigInteger.Pow(10, power), 1) : (1, BigInteger.Pow(10, -power)),
        _ => null,
    };
}
