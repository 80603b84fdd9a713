using System.Text;
using System.Text.Json;

namespace Reconciler.Containerd.Registries;

/// <summary>The logins of a docker config.json: credHelpers, then credsStore, then auths.</summary>
internal sealed class DockerConfig
{
    private const int MaxBytes = 4 * 1024 * 1024;
    private const string DockerHub = "docker.io";
    private const string DockerHubKey = "https://index.docker.io/v1/";

    private readonly Dictionary<string, RegistryCredentials?> _auths = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _broken = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _helpers = new(StringComparer.Ordinal);
    private string? _store;

    private DockerConfig()
    {
    }

    public static DockerConfig Empty { get; } = new();

    /// <summary>The file's path: as given, else $DOCKER_CONFIG/config.json, else ~/.docker/config.json.</summary>
    public static string DefaultPath(string? given)
    {
        if (!string.IsNullOrEmpty(given)) return given;
        var folder = Environment.GetEnvironmentVariable("DOCKER_CONFIG");
        if (string.IsNullOrEmpty(folder)) folder = Path.Combine(Environment.GetEnvironmentVariable("HOME") is { Length: > 0 } home ? home : "/root", ".docker");
        return Path.Combine(folder, "config.json");
    }

    /// <summary>Reads the file; one that is not there holds no logins.</summary>
    /// <exception cref="PullException">It cannot be read or understood.</exception>
    public static async Task<DockerConfig> LoadAsync(string path, CancellationToken cancellation)
    {
        try
        {
            if (!File.Exists(path)) return Empty;
            if (new FileInfo(path).Length > MaxBytes) throw new FormatException("it is larger than 4 MiB");
            return Parse(await File.ReadAllBytesAsync(path, cancellation));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException or JsonException or InvalidOperationException)
        {
            throw new PullException(PullErrorKind.Unauthorized, $"the logins in {path} cannot be read: {e.Message}", e);
        }
    }

    public static DockerConfig Parse(ReadOnlyMemory<byte> json)
    {
        using var document = JsonDocument.Parse(json, new JsonDocumentOptions { AllowTrailingCommas = true, CommentHandling = JsonCommentHandling.Skip });
        var root = document.RootElement;
        if (root.ValueKind != JsonValueKind.Object) throw new FormatException("it is not a JSON object");
        var config = new DockerConfig();
        if (root.TryGetProperty("auths", out var auths) && auths.ValueKind == JsonValueKind.Object)
            foreach (var entry in auths.EnumerateObject())
                if (entry.Value.ValueKind == JsonValueKind.Object) config.AddAuth(entry.Name, entry.Value);
        if (root.TryGetProperty("credHelpers", out var helpers) && helpers.ValueKind == JsonValueKind.Object)
            foreach (var entry in helpers.EnumerateObject())
                if (entry.Value.ValueKind == JsonValueKind.String && entry.Value.GetString() is { Length: > 0 } helper) config._helpers[Key(entry.Name)] = helper;
        if (root.TryGetProperty("credsStore", out var store) && store.ValueKind == JsonValueKind.String && store.GetString() is { Length: > 0 } name)
            config._store = name;
        return config;
    }

    /// <summary>The login for a repository; null = none.</summary>
    /// <exception cref="PullException">A credential helper failed.</exception>
    public async Task<RegistryCredentials?> FindAsync(string domain, string repository, TimeProvider time, CancellationToken cancellation)
    {
        var server = domain == DockerHub ? DockerHubKey : domain;
        if (_helpers.TryGetValue(domain, out var helper)) return await CredentialHelper.GetAsync(helper, server, time, cancellation);
        if (_store is not null && await CredentialHelper.GetAsync(_store, server, time, cancellation) is { } stored) return stored;
        // podman's keys may name a part of a repository: the longest one that fits wins.
        for (var key = $"{domain}/{repository}"; ; key = key[..key.LastIndexOf('/')])
        {
            if (_auths.TryGetValue(key, out var found)) return found;
            if (_broken.TryGetValue(key, out var why)) throw new PullException(PullErrorKind.Unauthorized, $"the login for {key} cannot be read: {why}");
            if (key.Length == domain.Length) return null;
        }
    }

    /// <summary>Keys are hosts, hosts with a path, or URLs; docker's own URLs end in an API version.</summary>
    private static string Key(string name)
    {
        var key = name;
        if (key.IndexOf("://", StringComparison.Ordinal) is var scheme and >= 0)
        {
            key = key[(scheme + 3)..];
            if (key.TrimEnd('/') is var trimmed && (trimmed.EndsWith("/v1", StringComparison.Ordinal) || trimmed.EndsWith("/v2", StringComparison.Ordinal)))
                key = trimmed[..^3];
        }
        key = key.TrimEnd('/');
        return key is "index.docker.io" or "registry-1.docker.io" or "index.docker.io/v1" ? DockerHub : key;
    }

    /// <summary>A broken entry matters only to those who need it.</summary>
    private void AddAuth(string name, JsonElement entry)
    {
        try
        {
            _auths[Key(name)] = ReadAuth(entry);
        }
        catch (FormatException e)
        {
            _broken[Key(name)] = e.Message;
        }
    }

    private static RegistryCredentials? ReadAuth(JsonElement entry)
    {
        if (Text(entry, "registrytoken") is { Length: > 0 } registryToken) return new RegistryCredentials.RegistryToken(registryToken);
        if (Text(entry, "identitytoken") is { Length: > 0 } identityToken) return new RegistryCredentials.IdentityToken(identityToken);
        var (user, secret) = (Text(entry, "username"), Text(entry, "password"));
        if (Text(entry, "auth") is { Length: > 0 } auth)
        {
            string pair;
            try
            {
                pair = Encoding.UTF8.GetString(Convert.FromBase64String(auth)).TrimEnd('\0');
            }
            catch (FormatException e)
            {
                throw new FormatException("auth is not base64", e);
            }
            var colon = pair.IndexOf(':', StringComparison.Ordinal);
            if (colon < 0) throw new FormatException("auth is not user:password in base64");
            (user, secret) = (pair[..colon], pair[(colon + 1)..]);
        }
        if (secret.Length == 0) return null;
        return user is "" or "<token>" ? new RegistryCredentials.IdentityToken(secret) : new RegistryCredentials.Password(user, secret);
    }

    private static string Text(JsonElement item, string name) =>
        item.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString()! : "";
}
