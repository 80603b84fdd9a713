using System.Diagnostics.CodeAnalysis;

namespace Reconciler.Containerd;

/// <summary>
/// An image reference, normalised as Docker does it: <c>busybox</c> is <c>docker.io/library/busybox:latest</c>.
/// Neither tag nor digest given means the tag <c>latest</c>.
/// </summary>
public sealed record ImageReference
{
    private const string DefaultDomain = "docker.io";
    private const int MaxNameLength = 255;
    private const int MaxTagLength = 128;

    private ImageReference(string domain, string path, string? tag, string? digest)
    {
        Domain = domain;
        Path = path;
        Tag = tag;
        Digest = digest;
    }

    /// <summary>Host with the port if one is given: <c>docker.io</c>, <c>127.0.0.1:5000</c>.</summary>
    public string Domain { get; }

    /// <summary>Repository inside the registry: <c>library/busybox</c>.</summary>
    public string Path { get; }

    /// <summary>Null only when a digest alone names the image.</summary>
    public string? Tag { get; }

    /// <summary><c>sha256:</c> or <c>sha512:</c> and lower-case hexadecimal digits; null = the tag decides.</summary>
    public string? Digest { get; }

    /// <summary>The whole normalised reference; the name of the image record.</summary>
    public string Name => $"{Domain}/{Path}{(Tag is null ? "" : ":" + Tag)}{(Digest is null ? "" : "@" + Digest)}";

    /// <summary>Parses and normalises.</summary>
    /// <exception cref="ArgumentException">The text is no reference; the message names the broken rule.</exception>
    public static ImageReference Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return Read(text, out var reference) is { } rule
            ? throw new ArgumentException($"image reference \"{text}\": {rule}", nameof(text))
            : reference!;
    }

    /// <summary>As <see cref="Parse"/>, without an exception.</summary>
    public static bool TryParse(string? text, [NotNullWhen(true)] out ImageReference? reference)
    {
        reference = null;
        return text is not null && Read(text, out reference) is null;
    }

    /// <summary>The normalised name.</summary>
    public override string ToString() => Name;

    private static string? Read(string text, out ImageReference? reference)
    {
        reference = null;
        if (text.Length == 0) return "it is empty";
        if (text.AsSpan().ContainsAny(" \t\r\n")) return "it holds white space";
        if (text.Contains("://", StringComparison.Ordinal)) return "it is a URL: leave out the scheme";
        var rest = text;
        string? digest = null;
        if (rest.IndexOf('@', StringComparison.Ordinal) is var at and >= 0)
        {
            digest = rest[(at + 1)..];
            rest = rest[..at];
            if (!IsDigest(digest)) return "the digest must be sha256: and 64, or sha512: and 128 lower-case hexadecimal digits";
        }
        string? tag = null;
        if (rest.LastIndexOf(':') is var colon and >= 0 && rest.IndexOf('/', colon) < 0)
        {
            tag = rest[(colon + 1)..];
            rest = rest[..colon];
            if (!IsTag(tag)) return "the tag must be 1 to 128 characters of letters, digits, _ . - and not begin with . or -";
        }
        var (domain, path) = Split(rest);
        if (path.Length == 0) return "the repository is missing";
        if (DomainRule(domain) is { } broken) return broken;
        if (path.Split('/').Any(part => !IsPathComponent(part)))
            return "the repository must be of lower-case letters and digits, separated by single . or _, __, - or /";
        if (domain.Length + 1 + path.Length > MaxNameLength) return $"host and repository are longer than {MaxNameLength} characters";
        if (domain == DefaultDomain && path.StartsWith("library/", StringComparison.Ordinal) && path.Length == "library/".Length + 64 && IsHex(path["library/".Length..]))
            return "64 hexadecimal digits are an id, not a name";
        reference = new ImageReference(domain, path, tag ?? (digest is null ? "latest" : null), digest);
        return null;
    }

    private static (string Domain, string Path) Split(string name)
    {
        var slash = name.IndexOf('/', StringComparison.Ordinal);
        var first = slash < 0 ? "" : name[..slash];
        var isHost = first.AsSpan().ContainsAny('.', ':', '[') || first == "localhost" || first.Any(char.IsAsciiLetterUpper);
        var (domain, path) = slash >= 0 && isHost ? (first, name[(slash + 1)..]) : (DefaultDomain, name);
        if (domain == "index.docker.io") domain = DefaultDomain;
        if (domain == DefaultDomain && path.Length > 0 && !path.Contains('/', StringComparison.Ordinal)) path = "library/" + path;
        return (domain, path);
    }

    internal static bool IsDigest(string text) => text.IndexOf(':', StringComparison.Ordinal) is var colon and > 0 && text[..colon] switch
    {
        "sha256" => text.Length == "sha256:".Length + 64 && IsHex(text[(colon + 1)..]),
        "sha512" => text.Length == "sha512:".Length + 128 && IsHex(text[(colon + 1)..]),
        _ => false,
    };

    private static bool IsHex(string text) => text.All(char.IsAsciiHexDigitLower);

    private static bool IsTag(string tag) => tag.Length is > 0 and <= MaxTagLength && tag[0] is not ('.' or '-')
        && tag.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '.' or '-');

    private static string? DomainRule(string domain)
    {
        var host = domain;
        if (domain.StartsWith('['))
        {
            var end = domain.IndexOf(']', StringComparison.Ordinal);
            if (end < 0 || !System.Net.IPAddress.TryParse(domain[1..end], out _)) return "the host must be an IPv6 address in brackets";
            if (end == domain.Length - 1) return null;
            if (domain[end + 1] != ':') return "after the host's bracket only :port may follow";
            return IsPort(domain[(end + 2)..]) ? null : "the port must be 1 to 65535";
        }
        if (domain.IndexOf(':', StringComparison.Ordinal) is var colon and >= 0)
        {
            host = domain[..colon];
            if (!IsPort(domain[(colon + 1)..])) return "the port must be 1 to 65535";
        }
        return host.Split('.').All(IsDomainComponent) ? null : "the host must be of letters, digits, - and .";
    }

    private static bool IsPort(string text) => text.Length is > 0 and <= 5 && text.All(char.IsAsciiDigit)
        && int.Parse(text, System.Globalization.CultureInfo.InvariantCulture) is > 0 and <= 65535;

    private static bool IsDomainComponent(string part) => part.Length > 0 && part[0] != '-' && part[^1] != '-'
        && part.All(c => char.IsAsciiLetterOrDigit(c) || c == '-');

    private static bool IsPathComponent(string part)
    {
        var i = 0;
        while (true)
        {
            var start = i;
            while (i < part.Length && (char.IsAsciiLetterLower(part[i]) || char.IsAsciiDigit(part[i]))) i++;
            if (i == start) return false;
            if (i == part.Length) return true;
            start = i;
            while (i < part.Length && part[i] is '.' or '_' or '-') i++;
            var separator = part.AsSpan(start, i - start);
            if (separator is not ("." or "_" or "__") && separator.ContainsAnyExcept('-')) return false;
            if (separator.Length == 0) return false;
        }
    }
}
