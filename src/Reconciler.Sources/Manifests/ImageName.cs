using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Reconciler.Sources.Manifests;

/// <summary>Image references, normalised as Docker normalises them.</summary>
internal static class ImageName
{
    /// <summary>busybox -> docker.io/library/busybox:latest; of a tag and a digest the digest stays, since the tag says nothing any more.</summary>
    /// <param name="text">As written.</param>
    /// <param name="reference">Host, repository, and tag or digest.</param>
    /// <param name="moving">True for no tag or <c>:latest</c>, where the pull policy defaults to Always.</param>
    /// <param name="error">What is wrong.</param>
    public static bool TryNormalize(
        string text, [NotNullWhen(true)] out string? reference, out bool moving, [NotNullWhen(false)] out string? error)
    {
        reference = null;
        moving = false;
        error = null;
        var rest = text;
        string? tag = null, digest = null;
        if (rest.IndexOf('@', StringComparison.Ordinal) is >= 0 and var at) (rest, digest) = (rest[..at], rest[(at + 1)..]);
        var colon = rest.LastIndexOf(':');
        if (colon > rest.LastIndexOf('/')) (rest, tag) = (rest[..colon], rest[(colon + 1)..]);
        var slash = rest.IndexOf('/', StringComparison.Ordinal);
        var first = slash < 0 ? "" : rest[..slash];
        var host = first.Length > 0 && (first.AsSpan().IndexOfAny(".:[") >= 0 || first == "localhost" || first.Any(char.IsUpper)) ? first : "";
        var repository = host.Length > 0 ? rest[(slash + 1)..] : rest;
        if (host is "" or "index.docker.io") host = "docker.io";
        if (host == "docker.io" && !repository.Contains('/', StringComparison.Ordinal)) repository = "library/" + repository;

        error = ErrorOf(text, host, repository, tag, digest);
        if (error is not null) return false;
        moving = digest is null && tag is null or "latest" && digest is null;
        reference = digest is null ? $"{host}/{repository}:{tag ?? "latest"}" : $"{host}/{repository}@{digest}";
        return true;
    }

    private static string? ErrorOf(string text, string host, string repository, string? tag, string? digest)
    {
        if (text.Length > 512) return "is longer than 512 characters";
        if (text.Any(c => char.IsWhiteSpace(c) || char.IsControl(c))) return "contains white space";
        if (text.Contains("://", StringComparison.Ordinal)) return "is an address with a scheme";
        if (!IsHost(host)) return $"has a bad registry host \"{host}\"";
        if (host.Length + 1 + repository.Length > 255) return "has a host and repository longer than 255 characters";
        if (repository.Any(char.IsUpper)) return "has upper-case letters in its repository";
        if (!repository.Split('/').All(IsComponent)) return $"has a bad repository \"{repository}\"";
        if (host == "docker.io" && repository.StartsWith("library/", StringComparison.Ordinal) && repository.Length == 72 && repository[8..].All(char.IsAsciiHexDigitLower)) return "is an image's id, not a name";
        if (tag is not null && !IsTag(tag)) return $"has a bad tag \"{tag}\"";
        return digest is null || IsDigest(digest) ? null : "has a bad digest";
    }

    private static bool IsHost(string host)
    {
        var port = "";
        var name = host;
        if (host.StartsWith('['))
        {
            var end = host.IndexOf(']', StringComparison.Ordinal);
            if (end < 0 || (end + 1 < host.Length && host[end + 1] != ':')) return false;
            (name, port) = (host[1..end], end + 1 < host.Length ? host[(end + 2)..] : "80");
            return name.Length > 0 && name.All(c => char.IsAsciiHexDigit(c) || c == ':') && IsPort(port);
        }
        if (host.IndexOf(':', StringComparison.Ordinal) is >= 0 and var colon) (name, port) = (host[..colon], host[(colon + 1)..]);
        else port = "80";
        return IsPort(port) && name.Split('.').All(part =>
            part.Length > 0 && char.IsAsciiLetterOrDigit(part[0]) && char.IsAsciiLetterOrDigit(part[^1]) && part.All(c => char.IsAsciiLetterOrDigit(c) || c == '-'));
    }

    private static bool IsPort(string port) => port.Length is > 0 and <= 5 && port[0] != '0' && port.All(char.IsAsciiDigit) && int.Parse(port, CultureInfo.InvariantCulture) is > 0 and <= 65535;

    /// <summary>Runs of a-z and 0-9 joined by <c>.</c>, <c>_</c>, <c>__</c> or any number of <c>-</c>.</summary>
    private static bool IsComponent(string part)
    {
        if (part.Length == 0 || !char.IsAsciiLetterOrDigit(part[0]) || !char.IsAsciiLetterOrDigit(part[^1])) return false;
        for (var i = 0; i < part.Length; i++)
        {
            if (char.IsAsciiLetterOrDigit(part[i])) continue;
            var start = i;
            while (!char.IsAsciiLetterOrDigit(part[i + 1])) i++;
            var separator = part.AsSpan(start, i - start + 1);
            if (separator is not ("." or "_" or "__") && separator.IndexOfAnyExcept('-') >= 0) return false;
        }
        return true;
    }

    private static bool IsTag(string tag) =>
        tag.Length is > 0 and <= 128 && (char.IsAsciiLetterOrDigit(tag[0]) || tag[0] == '_')
        && tag.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '.' or '-');

    private static bool IsDigest(string digest) => digest switch
    {
        ['s', 'h', 'a', '2', '5', '6', ':', .. var hex] => hex.Length == 64 && hex.All(char.IsAsciiHexDigitLower),
        ['s', 'h', 'a', '5', '1', '2', ':', .. var hex] => hex.Length == 128 && hex.All(char.IsAsciiHexDigitLower),
        _ => false,
    };
}
