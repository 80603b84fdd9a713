using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Reconciler.Agent.Runtime;

/// <summary>Container ids: readable, unique per incarnation, and within containerd's rule for identifiers.</summary>
internal static class ContainerIds
{
    /// <summary>containerd's limit, in characters.</summary>
    public const int MaxLength = 76;

    private const int HashLength = 8;

    /// <summary><c>ns-workload-container-incarnation</c>; a long one is cut and carries a hash of the whole name.</summary>
    public static string Of(string ns, string workload, string container, long incarnation)
    {
        // The separator may be part of each name: two keys can spell alike, and only then does the hash go in as well.
        var full = $"{ns}/{workload}/{container}";
        var suffix = "-" + incarnation.ToString(CultureInfo.InvariantCulture);
        var readable = Clean($"{ns}-{workload}-{container}");
        var ambiguous = full.Any(c => c is '-' or '.' or '_');
        var hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(full)))[..HashLength];
        var room = MaxLength - suffix.Length;
        if (!ambiguous && readable.Length <= room) return readable + suffix;
        room -= HashLength + 1;
        if (readable.Length > room) readable = readable[..room];
        return $"{readable.TrimEnd('-', '.', '_')}-{hash}{suffix}";
    }

    private static string Clean(string name)
    {
        var text = new StringBuilder(name.Length);
        foreach (var c in name)
        {
            var separator = c is '-' or '.' or '_';
            if (!separator && !char.IsAsciiLetterOrDigit(c)) continue;
            if (separator && (text.Length == 0 || text[^1] is '-' or '.' or '_')) continue;
            text.Append(c);
        }
        return text.ToString().TrimEnd('-', '.', '_');
    }
}
