using System.Net;

namespace Reconciler.Agent.Http;

/// <summary>Where an HTTP server listens.</summary>
/// <param name="EndPoint">Address and port; port 0 = one that is free.</param>
/// <param name="Given">False = the default, which may be taken without ending the agent.</param>
public sealed record ListenAddress(IPEndPoint EndPoint, bool Given)
{
    /// <summary>Nobody outside of this machine reaches it.</summary>
    public bool IsLoopback => IPAddress.IsLoopback(EndPoint.Address);

    /// <param name="text">HOST:PORT with an IP address or localhost, or :PORT for every address.</param>
    /// <returns>Null = it cannot be used.</returns>
    public static ListenAddress? Parse(string text, bool given)
    {
        var colon = text.LastIndexOf(':');
        if (colon < 0 || text[(colon + 1)..] is not { Length: > 0 and <= 5 } digits || !digits.All(char.IsAsciiDigit)) return null;
        var port = int.Parse(digits, System.Globalization.CultureInfo.InvariantCulture);
        var address = text[..colon] switch
        {
            "" => IPAddress.IPv6Any,
            "localhost" => IPAddress.Loopback,
            ['[', .. var inner, ']'] when inner.Contains(':', StringComparison.Ordinal) && IPAddress.TryParse(inner, out var v6) => v6,
            var host when host.Count(c => c == '.') == 3 && IPAddress.TryParse(host, out var v4) => v4,
            _ => null,
        };
        return address is not null && port <= IPEndPoint.MaxPort ? new ListenAddress(new IPEndPoint(address, port), given) : null;
    }

    public override string ToString() => EndPoint.ToString();
}
