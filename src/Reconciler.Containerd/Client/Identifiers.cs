using System.Diagnostics.CodeAnalysis;

namespace Reconciler.Containerd;

/// <summary>containerd's rule for the names of containers, namespaces and exec processes.</summary>
internal static class Identifiers
{
    public const int MaxLength = 76;

    /// <exception cref="ArgumentException">Not an identifier; the message names the rule.</exception>
    public static void Require([NotNull] string? value, string parameter)
    {
        ArgumentException.ThrowIfNullOrEmpty(value, parameter);
        if (value.Length > MaxLength) throw new ArgumentException($"\"{value}\" is longer than {MaxLength} characters", parameter);
        var separated = true;
        foreach (var c in value)
        {
            var separator = c is '.' or '_' or '-';
            if ((!separator && !char.IsAsciiLetterOrDigit(c)) || (separator && separated))
                throw Invalid(value, parameter);
            separated = separator;
        }
        if (separated) throw Invalid(value, parameter);
    }

    private static ArgumentException Invalid(string value, string parameter) =>
        new($"\"{value}\" is not an identifier: letters and digits, separated by single '.', '_' or '-'", parameter);
}
