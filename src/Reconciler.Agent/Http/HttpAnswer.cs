using System.Globalization;
using System.Text;

namespace Reconciler.Agent.Http;

/// <summary>Answers one request of a path.</summary>
internal delegate ValueTask<HttpAnswer> HttpHandler(HttpRequest request, CancellationToken stop);

/// <param name="Status">Code of RFC 9110, section 15.</param>
internal sealed record HttpAnswer(int Status, string ContentType, ReadOnlyMemory<byte> Body)
{
    private const string Plain = "text/plain; charset=utf-8";

    /// <summary>Sent in place of <see cref="Body"/>, piece by piece until it ends or the reader is gone; a piece that is not taken within 10 s is the end.</summary>
    public IAsyncEnumerable<ReadOnlyMemory<byte>>? Stream { get; init; }

    /// <summary>What the document may load (W3C CSP); by itself nothing.</summary>
    public string Policy { get; init; } = "default-src 'none'; frame-ancestors 'none'";

    /// <summary>Name and value of one more header line.</summary>
    public (string Name, string Value)? Extra { get; init; }

    public static HttpAnswer Text(int status, string text) => new(status, Plain, Encoding.UTF8.GetBytes(text + "\n"));

    /// <summary>Status line and headers, with the empty line.</summary>
    public byte[] Head(DateTimeOffset now)
    {
        var text = new StringBuilder()
            .Append(CultureInfo.InvariantCulture, $"HTTP/1.1 {Status} {Phrase(Status)}\r\n")
            .Append(CultureInfo.InvariantCulture, $"Date: {now.UtcDateTime:R}\r\n")
            .Append(CultureInfo.InvariantCulture, $"Content-Type: {ContentType}\r\n");
        if (Stream is null) text.Append(CultureInfo.InvariantCulture, $"Content-Length: {Body.Length}\r\n");
        if (Extra is { } extra) text.Append(CultureInfo.InvariantCulture, $"{extra.Name}: {extra.Value}\r\n");
        text.Append("Connection: close\r\nCache-Control: no-store\r\n")
            .Append(CultureInfo.InvariantCulture, $"Content-Security-Policy: {Policy}\r\n")
            .Append("X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\n")
            .Append("Cross-Origin-Resource-Policy: same-origin\r\nCross-Origin-Opener-Policy: same-origin\r\n\r\n");
        return Encoding.ASCII.GetBytes(text.ToString());
    }

    private static string Phrase(int status) => status switch
    {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    };
}
