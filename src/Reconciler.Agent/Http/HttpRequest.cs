using System.Net;
using System.Text;

namespace Reconciler.Agent.Http;

/// <summary>The head of a request (RFC 9112, sections 3 and 5). Bodies are never read.</summary>
/// <param name="Path">Begins with <c>/</c>, as sent: nothing is decoded.</param>
/// <param name="Query">What follows the first <c>?</c>; may be empty.</param>
internal sealed record HttpRequest(string Method, string Path, string Query, IReadOnlyDictionary<string, string> Headers)
{
    public bool IsHead => Method == "HEAD";

    public string Header(string name) => Headers.GetValueOrDefault(name, "");

    /// <summary>An IP address or localhost. A name that somebody else's DNS pointed here (DNS rebinding) is neither.</summary>
    public bool IsForAddress
    {
        get
        {
            var host = Header("Host");
            if (host.StartsWith('[')) return host.IndexOf(']', StringComparison.Ordinal) is > 0 and var end && IPAddress.TryParse(host[1..end], out _);
            var name = host.IndexOf(':', StringComparison.Ordinal) is >= 0 and var colon ? host[..colon] : host;
            return name.Equals("localhost", StringComparison.OrdinalIgnoreCase) || (name.Length > 0 && IPAddress.TryParse(name, out _));
        }
    }

    /// <summary>Something in a page of another site asks for it, behind the back of the person who looks at that page.</summary>
    public bool IsForeign => Header("Sec-Fetch-Site") is not ("" or "none" or "same-origin") && Header("Sec-Fetch-Mode") != "navigate";

    /// <param name="head">Everything before the empty line.</param>
    /// <returns>Null = this is not HTTP/1.</returns>
    public static HttpRequest? Parse(ReadOnlySpan<byte> head)
    {
        var lines = Encoding.Latin1.GetString(head).Split("\r\n");
        if (lines.Any(line => line.Any(c => char.IsControl(c) && c != '\t'))) return null;
        if (lines[0].Split(' ') is not [{ Length: > 0 } method, ['/', ..] target, "HTTP/1.1" or "HTTP/1.0"]) return null;
        var headers = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        foreach (var line in lines.Skip(1))
        {
            var colon = line.IndexOf(':', StringComparison.Ordinal);
            if (colon <= 0 || line[..colon].Any(c => !char.IsAsciiLetterOrDigit(c) && !"!#$%&'*+-.^_`|~".Contains(c, StringComparison.Ordinal))) return null;
            var (name, value) = (line[..colon], line[(colon + 1)..].Trim(' ', '\t'));
            if (!headers.TryAdd(name, value))
            {
                if (name.Equals("Host", StringComparison.OrdinalIgnoreCase)) return null;
                headers[name] += ", " + value;
            }
        }
        if (!headers.ContainsKey("Host") && lines[0].EndsWith("1.1", StringComparison.Ordinal)) return null;
        var question = target.IndexOf('?', StringComparison.Ordinal);
        return question < 0 ? new HttpRequest(method, target, "", headers) : new HttpRequest(method, target[..question], target[(question + 1)..], headers);
    }
}
