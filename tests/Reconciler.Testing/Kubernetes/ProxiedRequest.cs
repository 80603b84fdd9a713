using System.Globalization;
using System.Net.Http.Headers;
using System.Text;

namespace Reconciler.Testing.Kubernetes;

/// <summary>A request as it came.</summary>
internal sealed record ProxiedRequest(string Method, string Target, string ContentType, byte[] Body)
{
    public bool IsWatch => Target.Contains("watch=1", StringComparison.Ordinal);

    /// <summary>It goes on from a version.</summary>
    public bool HasVersion => Target.Contains("resourceVersion=", StringComparison.Ordinal);

    /// <summary>Null = the client went.</summary>
    public static async Task<ProxiedRequest?> ReadAsync(Stream client, CancellationToken stop)
    {
        var bytes = new MemoryStream();
        var buffer = new byte[16 * 1024];
        while (true)
        {
            var count = await client.ReadAsync(buffer, stop);
            if (count == 0) return null;
            bytes.Write(buffer, 0, count);
            var text = Encoding.Latin1.GetString(bytes.GetBuffer(), 0, (int)bytes.Length);
            var end = text.IndexOf("\r\n\r\n", StringComparison.Ordinal);
            if (end < 0) continue;
            var lines = text[..end].Split("\r\n");
            var length = int.Parse(Header(lines, "Content-Length") ?? "0", CultureInfo.InvariantCulture);
            if (bytes.Length < end + 4 + length) continue;
            var first = lines[0].Split(' ');
            return new ProxiedRequest(first[0], first[1], Header(lines, "Content-Type") ?? "", bytes.GetBuffer().AsSpan(end + 4, length).ToArray());
        }
    }

    public HttpRequestMessage ToMessage()
    {
        var message = new HttpRequestMessage(new HttpMethod(Method), new Uri(Target, UriKind.Relative));
        if (Body.Length == 0) return message;
        message.Content = new ByteArrayContent(Body);
        message.Content.Headers.ContentType = MediaTypeHeaderValue.Parse(ContentType);
        return message;
    }

    private static string? Header(string[] lines, string name) =>
        lines.FirstOrDefault(line => line.StartsWith(name + ":", StringComparison.OrdinalIgnoreCase))?[(name.Length + 1)..].Trim();
}
