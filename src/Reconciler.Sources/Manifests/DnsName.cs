using System.Buffers;

namespace Reconciler.Sources.Manifests;

/// <summary>RFC 1123 names as Kubernetes checks them.</summary>
internal static class DnsName
{
    private static readonly SearchValues<char> Characters = SearchValues.Create("abcdefghijklmnopqrstuvwxyz0123456789-");

    public const string LabelRule = "at most 63 of a-z, 0-9 and -, beginning and ending with a letter or digit";
    public const string LabelValueRule = "at most 63 letters, digits, -, _ and ., beginning and ending with a letter or digit";

    /// <summary>A DNS subdomain, a slash and a name.</summary>
    public const int MaxLabelKey = 317;

    public const int MaxLabels = 100;

    public const string SubdomainRule = "at most 253 of a-z, 0-9, - and ., each part beginning and ending with a letter or digit";

    public static bool IsLabel(string name) =>
        name.Length is > 0 and <= 63 && name[0] != '-' && name[^1] != '-'
        && !name.AsSpan().ContainsAnyExcept(Characters);

    public static bool IsSubdomain(string name) =>
        name.Length is > 0 and <= 253 && name.Split('.').All(part => part.Length > 0 && part[0] != '-' && part[^1] != '-'
            && !part.AsSpan().ContainsAnyExcept(Characters));

    /// <summary>A label key: an optional DNS subdomain and a slash, then at most 63 characters.</summary>
    public static bool IsLabelKey(string key)
    {
        var slash = key.IndexOf('/', StringComparison.Ordinal);
        return (slash < 0 || IsSubdomain(key[..slash])) && key.Length > slash + 1 && IsLabelValue(key[(slash + 1)..]);
    }

    /// <summary>Empty, or at most 63 letters, digits, <c>-</c>, <c>_</c> and <c>.</c>, beginning and ending with a letter or digit.</summary>
    public static bool IsLabelValue(string value) =>
        value.Length == 0
        || (value.Length <= 63 && char.IsAsciiLetterOrDigit(value[0]) && char.IsAsciiLetterOrDigit(value[^1])
            && value.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.'));
}
