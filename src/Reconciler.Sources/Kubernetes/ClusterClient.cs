using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;

namespace Reconciler.Sources.Kubernetes;

/// <summary>Requests to one API server: JSON in, JSON out, every wait limited. Any failure is a <see cref="ClusterException"/>.</summary>
public sealed class ClusterClient : IDisposable
{
    public const string Apply = "application/apply-patch+yaml";
    public const string JsonPatch = "application/json-patch+json";

    private static readonly TimeSpan WriteLimit = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan ListLimit = TimeSpan.FromSeconds(30);

    private readonly ClusterConnection _connection;
    private readonly TimeProvider _time;

    private ClusterClient(ClusterConnection connection, ClusterOptions options, TimeProvider time)
    {
        (_connection, _time) = (connection, time);
        Program = options.Program;
    }

    /// <summary>Field manager of what this client applies.</summary>
    public string Program { get; }

    /// <summary>URL of the server, for messages.</summary>
    public string Server => _connection.Server.ToString();

    /// <summary>Reads the configuration; connects with the first request.</summary>
    /// <exception cref="ClusterConfigException">There is no usable configuration.</exception>
    public static ClusterClient Open(ClusterOptions options, TimeProvider time) => new(ClusterConnection.Open(options), options, time);

    public void Dispose() => _connection.Dispose();

    /// <param name="path">Path and query below the server's URL, without a leading slash.</param>
    public Task<JsonDocument> GetAsync(string path, CancellationToken cancellation) => SendAsync(HttpMethod.Get, path, null, "", ListLimit, cancellation);

    public Task<JsonDocument> PostAsync(string path, ReadOnlyMemory<byte> json, CancellationToken cancellation) =>
        SendAsync(HttpMethod.Post, path, json, "application/json", WriteLimit, cancellation);

    public Task<JsonDocument> PutAsync(string path, ReadOnlyMemory<byte> json, CancellationToken cancellation) =>
        SendAsync(HttpMethod.Put, path, json, "application/json", WriteLimit, cancellation);

    /// <param name="contentType"><see cref="JsonPatch"/> or another patch type but apply.</param>
    public Task<JsonDocument> PatchAsync(string path, ReadOnlyMemory<byte> json, string contentType, CancellationToken cancellation) =>
        SendAsync(HttpMethod.Patch, path, json, contentType, WriteLimit, cancellation);

    /// <summary>Server-side apply as <see cref="Program"/>, conflicts taken over.</summary>
    public Task<JsonDocument> ApplyAsync(string path, ReadOnlyMemory<byte> json, CancellationToken cancellation) =>
        SendAsync(HttpMethod.Patch, $"{path}?fieldManager={Uri.EscapeDataString(Program)}&force=true", json, Apply, WriteLimit, cancellation);

    /// <param name="json">DeleteOptions.</param>
    public Task<JsonDocument> DeleteAsync(string path, ReadOnlyMemory<byte> json, CancellationToken cancellation) =>
        SendAsync(HttpMethod.Delete, path, json, "application/json", WriteLimit, cancellation);

    /// <summary>Starts one watch request; returns once the server has accepted it.</summary>
    /// <param name="path">With watch=1.</param>
    /// <param name="limit">Of the whole request: more than its timeoutSeconds.</param>
    public async Task<ClusterWatch> WatchAsync(string path, TimeSpan limit, CancellationToken cancellation)
    {
        var deadline = new CancellationTokenSource(limit, _time);
        try
        {
            using var either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellation);
            var response = await AnswerAsync(HttpMethod.Get, path, null, "", either.Token, cancellation);
            return new ClusterWatch(response, await response.Content.ReadAsStreamAsync(either.Token), deadline, Broken);
        }
        catch
        {
            deadline.Dispose();
            throw;
        }
    }

    private async Task<JsonDocument> SendAsync(
        HttpMethod method, string path, ReadOnlyMemory<byte>? body, string contentType, TimeSpan limit, CancellationToken cancellation)
    {
        using var deadline = new CancellationTokenSource(limit, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellation);
        using var response = await AnswerAsync(method, path, body, contentType, either.Token, cancellation);
        try
        {
            await using var stream = await response.Content.ReadAsStreamAsync(either.Token);
            return await JsonDocument.ParseAsync(stream, default, either.Token);
        }
        catch (Exception e) when (IsBroken(e) && !cancellation.IsCancellationRequested)
        {
            throw Broken(e);
        }
    }

    private async Task<HttpResponseMessage> AnswerAsync(
        HttpMethod method, string path, ReadOnlyMemory<byte>? body, string contentType, CancellationToken either, CancellationToken cancellation)
    {
        HttpResponseMessage response;
        try
        {
            using var request = new HttpRequestMessage(method, new Uri(_connection.Server, path));
            request.Version = HttpVersion.Version20;
            request.VersionPolicy = HttpVersionPolicy.RequestVersionOrLower;
            request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("application/json"));
            if (body is { } bytes)
            {
                request.Content = new ReadOnlyMemoryContent(bytes);
                request.Content.Headers.ContentType = new MediaTypeHeaderValue(contentType);
            }
            await _connection.AuthenticateAsync(request, either);
            response = await _connection.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, either);
        }
        catch (Exception e) when (IsBroken(e) && !cancellation.IsCancellationRequested)
        {
            throw Broken(e);
        }
        if (response.IsSuccessStatusCode) return response;
        using (response) throw await RefusedAsync(response, either);
    }

    internal static bool IsBroken(Exception e) =>
        e is HttpRequestException or IOException or OperationCanceledException or JsonException or InvalidOperationException or System.ComponentModel.Win32Exception or k8s.Exceptions.KubeConfigException;

    private ClusterException Broken(Exception e) => new(0, "", e switch
    {
        OperationCanceledException => $"{Server}: no answer in time",
        JsonException => $"{Server}: the answer is not JSON: {e.Message}",
        _ => $"{Server}: {(e.InnerException is { } inner ? $"{e.Message} ({inner.Message})" : e.Message)}",
    }, e);

    private static async Task<ClusterException> RefusedAsync(HttpResponseMessage response, CancellationToken cancellation)
    {
        var code = (int)response.StatusCode;
        var (reason, message) = ("", $"the API server answered {code} {response.ReasonPhrase}");
        try
        {
            await using var stream = await response.Content.ReadAsStreamAsync(cancellation);
            using var status = await JsonDocument.ParseAsync(stream, default, cancellation);
            if (status.RootElement.ValueKind == JsonValueKind.Object && status.RootElement.TryGetProperty("message", out var said)) message = said.GetString() ?? message;
            if (status.RootElement.ValueKind == JsonValueKind.Object && status.RootElement.TryGetProperty("reason", out var word)) reason = word.GetString() ?? "";
        }
        catch (Exception e) when (e is JsonException or IOException or HttpRequestException or InvalidOperationException or OperationCanceledException)
        {
            // The status line has to do.
        }
        return new ClusterException(code, reason, message) { RetryAfter = response.Headers.RetryAfter?.Delta };
    }
}
