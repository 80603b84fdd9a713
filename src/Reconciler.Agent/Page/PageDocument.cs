using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Reconciler.Agent.Http;

namespace Reconciler.Agent.Page;

/// <summary>The document around the content. Its one style and one script are allowed by their hashes, and nothing else is.</summary>
internal static class PageDocument
{
    private static readonly Lazy<(string Style, string Script, string Policy)> Parts = new(() =>
    {
        var (style, script) = (Read("page.css"), Read("page.js"));
        return (style, script, $"default-src 'none'; style-src {Hash(style)}; script-src {Hash(script)}; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    });

    public static HttpAnswer Of(string main, DateTimeOffset now)
    {
        var (style, script, policy) = Parts.Value;
        var document = $"""
            <!doctype html>
            <html lang="en" data-now="{now.ToUnixTimeMilliseconds().ToString(CultureInfo.InvariantCulture)}">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <title>reconciler</title>
            <link rel="icon" href="data:,">
            <style>{style}</style>
            </head>
            <body>
            <header><strong>reconciler</strong><nav aria-label="Sections"><a href="#workloads">Workloads</a> <a href="#images">Images</a> <a href="#plan">Plan</a> <a href="#sources">Sources</a> <a href="#actions">Actions</a></nav><p id="status" role="status">As of {now.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture)}</p></header>
            {main}
            <noscript><p class="note">Without scripts this page does not follow: reload it to see what is new.</p></noscript>
            <script>{script}</script>
            </body>
            </html>

            """;
        return new HttpAnswer(200, "text/html; charset=utf-8", Encoding.UTF8.GetBytes(document)) { Policy = policy };
    }

    private static string Read(string name)
    {
        using var reader = new StreamReader(typeof(PageDocument).Assembly.GetManifestResourceStream(name)!, Encoding.UTF8);
        return reader.ReadToEnd().ReplaceLineEndings("\n");
    }

    private static string Hash(string text) => $"'sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(text)))}'";
}
