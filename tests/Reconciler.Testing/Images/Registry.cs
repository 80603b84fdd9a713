using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.RegularExpressions;

namespace Reconciler.Testing.Images;

/// <summary>A private docker-registry on a loopback address of its own: no connection of others takes the port while it is stopped.</summary>
public sealed partial class Registry : IAsyncDisposable
{
    public const string User = "tester";
    public const string Password = "open sesame";

    private const string Htpasswd = "tester:$2y$05$d6FxZFRR/Sf/5e4ZYGB.j.sN3bQCZrwrroLnBZJWSv4S7KSjeWkgi\n"; // bcrypt of the two above

    private readonly TempFolder _folder = new();
    private readonly HttpClient _http = new() { Timeout = TimeSpan.FromMinutes(2) };
    private Process? _process;

    /// <summary>host:port; the registry itself picks a free port at its first start.</summary>
    public string Host { get; private set; } = string.Create(
        CultureInfo.InvariantCulture, $"127.{Random.Shared.Next(1, 255)}.{Random.Shared.Next(1, 255)}.{Random.Shared.Next(2, 255)}:0");

    public HttpClient Http => _http;

    /// <summary>One line per request, as the registry logs it; empty until its shell has made the file.</summary>
    public string Log => File.Exists(_folder["log"]) ? File.ReadAllText(_folder["log"]) : "";

    /// <param name="authenticated">Basic authentication as <see cref="User"/>.</param>
    public static async Task<Registry> StartAsync(bool authenticated = false)
    {
        var registry = new Registry();
        await registry.WriteConfigAsync(authenticated);
        await registry.StartAgainAsync();
        return registry;
    }

    public async Task StartAgainAsync()
    {
        if (_process is not null) return;
        var start = new ProcessStartInfo("/bin/sh", ["-c", "exec docker-registry serve \"$1/config.yml\" >>\"$1/log\" 2>&1 </dev/null", "sh", _folder.Path]);
        _process = Process.Start(start)!;
        await File.WriteAllTextAsync(_folder["pid"], _process.Id.ToString(CultureInfo.InvariantCulture));
        if (Host.EndsWith(":0", StringComparison.Ordinal)) await AdoptPortAsync();
        await Eventually.UntilAsync(
            async () =>
            {
                if (_process.HasExited) throw new InvalidOperationException("docker-registry ended: " + Log);
                try
                {
                    using var answer = await _http.GetAsync(new Uri($"http://{Host}/v2/"));
                    return answer.StatusCode is HttpStatusCode.OK or HttpStatusCode.Unauthorized;
                }
                catch (HttpRequestException)
                {
                    return false;
                }
            },
            "docker-registry answers");
    }

    public async Task StopAsync()
    {
        if (_process is null) return;
        _process.Kill();
        await _process.WaitForExitAsync();
        _process = null;
    }

    /// <summary>Pushes and returns the reference to pull.</summary>
    public async Task<string> PushAsync(TestImage image, string repository, string tag)
    {
        foreach (var blob in image.Layers.Prepend(image.Config)) await PushBlobAsync(repository, blob);
        await PushManifestAsync(repository, tag, image.Manifest);
        return $"{Host}/{repository}:{tag}";
    }

    public async Task PushBlobAsync(string repository, Blob blob)
    {
        using var begun = await _http.PostAsync(new Uri($"http://{Host}/v2/{repository}/blobs/uploads/"), null);
        begun.EnsureSuccessStatusCode();
        var location = new Uri(new Uri($"http://{Host}"), begun.Headers.Location!);
        var target = new Uri(location + (location.Query.Length > 0 ? "&" : "?") + "digest=" + Uri.EscapeDataString(blob.Digest));
        using var content = new ByteArrayContent(blob.Bytes);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        using var put = await _http.PutAsync(target, content);
        put.EnsureSuccessStatusCode();
    }

    public async Task PushManifestAsync(string repository, string tag, Blob manifest)
    {
        using var content = new ByteArrayContent(manifest.Bytes);
        content.Headers.ContentType = MediaTypeHeaderValue.Parse(manifest.MediaType);
        using var put = await _http.PutAsync(new Uri($"http://{Host}/v2/{repository}/manifests/{tag}"), content);
        if (!put.IsSuccessStatusCode) throw new InvalidOperationException(await put.Content.ReadAsStringAsync());
    }

    /// <summary>Replaces what the registry serves for a pushed blob; the length should stay.</summary>
    public Task ReplaceAsync(Blob blob, byte[] bytes)
    {
        var hex = blob.Digest["sha256:".Length..];
        return File.WriteAllBytesAsync(_folder[$"data/docker/registry/v2/blobs/sha256/{hex[..2]}/{hex}/data"], bytes);
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _http.Dispose();
        _folder.Dispose();
    }

    /// <summary>Keeps the port for later starts.</summary>
    private async Task AdoptPortAsync()
    {
        var free = Host;
        var said = await Eventually.GetAsync(
            () => Task.FromResult(ListeningOn().Match(Log) is { Success: true } match ? match.Groups[1].Value : null), "docker-registry says its port");
        Host = said;
        await File.WriteAllTextAsync(_folder["config.yml"], (await File.ReadAllTextAsync(_folder["config.yml"])).Replace(free, said, StringComparison.Ordinal));
    }

    [GeneratedRegex("listening on (127\\.[0-9.]+:[0-9]+)\"")]
    private static partial Regex ListeningOn();

    private async Task WriteConfigAsync(bool authenticated)
    {
        var auth = "";
        if (authenticated)
        {
            await File.WriteAllTextAsync(_folder["htpasswd"], Htpasswd);
            auth = "auth: {htpasswd: {realm: test, path: " + _folder["htpasswd"] + "}}";
            _http.DefaultRequestHeaders.Authorization =
                new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{User}:{Password}")));
        }
        await File.WriteAllTextAsync(_folder["config.yml"], $$$"""
            version: 0.1
            log: {accesslog: {disabled: false}, level: info}
            storage: {filesystem: {rootdirectory: {{{_folder["data"]}}}}, delete: {enabled: true}}
            http: {addr: "{{{Host}}}"}
            {{{auth}}}
            """);
    }
}
