using System.Buffers;
using System.Diagnostics;
using System.IO.Pipelines;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;

namespace Reconciler.Sources.Kubernetes;

/// <summary>Requests to one API server: JSON in, JSON out, every wait limited. Any failure is a <see cref="ClusterException"/>.</summary>
public sealed class ClusterClient : IDisposable
{
    /// <summary>Name of the <see cref="ActivitySource"/> with a span for each request that is made within another span.</summary>
    public const string ActivitySourceName = "Reconciler.Kubernetes";

    public const string Apply = "application/apply-patch+yaml";
    public const string JsonPatch = "application/json-patch+json";

    private static readonly TimeSpan WriteLimit = TimeSpan.FromSeconds(10);

    /// <summary>Of silence: a large list over a slow link takes its time.</summary>
    private static readonly TimeSpan ReadLimit = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan LongestRead = TimeSpan.FromMinutes(10);

    private readonly ClusterConnection _connection;
    private readonly TimeProvider _time;

    private ClusterClient(ClusterConnection connection, ClusterOptions options, TimeProvider time)
    {
        (_connection, _time) = (connection, time);
        Program = options.Program;
    }

    /// <summary>Field manager of what this client applies.</summary>
    public string Program { get; }

    /// <summary>Told the method of each request and the status of its answer, 0 = none came. Must neither block nor throw.</summary>
    public Action<string, int>? Answered { get; set; }

    /// <summary>URL of the server, for messages.</summary>
    public string Server => _connection.Server.ToString();

    /// <summary>Reads the configuration; connects with the first request.</summary>
    /// <exception cref="ClusterConfigException">There is no usable configuration.</exception>
    public static ClusterClient Open(ClusterOptions options, TimeProvider time) => new(ClusterConnection.Open(options), options, time);

    public void Dispose() => _connection.Dispose();

    /// <param name="path">Path and query below the server's URL, without a leading slash.</param>
    public Task<JsonDocument> GetAsync(string path, CancellationToken cancellation) => SendAsync(HttpMethod.Get, path, null, "", ReadLimit, cancellation);

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
        using var span = RequestSpan.Begin(method, path, _connection.Server);
        try
        {
            return await ExchangeAsync(span, method, path, body, contentType, limit, cancellation);
        }
        catch (ClusterException e)
        {
            RequestSpan.Fail(span, e);
            throw;
        }
    }

    private async Task<JsonDocument> ExchangeAsync(
        Activity? span, HttpMethod method, string path, ReadOnlyMemory<byte>? body, string contentType, TimeSpan limit, CancellationToken cancellation)
    {
        using var silence = new CancellationTokenSource(limit, _time);
        using var whole = new CancellationTokenSource(method == HttpMethod.Get ? LongestRead : limit, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(silence.Token, whole.Token, cancellation);
        using var response = await AnswerAsync(method, path, body, contentType, either.Token, cancellation);
        span?.SetTag("http.response.status_code", (int)response.StatusCode);
        try
        {
            return await ReadAsync(await response.Content.ReadAsStreamAsync(either.Token), () => silence.CancelAfter(limit), either.Token);
        }
        catch (Exception e) when (IsBroken(e) && !cancellation.IsCancellationRequested)
        {
            throw Broken(e);
        }
    }

    private static async Task<JsonDocument> ReadAsync(Stream stream, Action heard, CancellationToken cancellation)
    {
        var reader = PipeReader.Create(stream);
        try
        {
            while (true)
            {
                var read = await reader.ReadAsync(cancellation);
                heard();
                if (read.IsCompleted) return JsonDocument.Parse(read.Buffer.ToArray());
                reader.AdvanceTo(read.Buffer.Start, read.Buffer.End);
            }
        }
        finally
        {
            await reader.CompleteAsync();
        }
    }

    private async Task<HttpResponseMessage> AnswerAsync(
        HttpMethod method, string path, ReadOnlyMemory<byte>? body, string contentType, CancellationToken either, CancellationToken cancellation)
    {
        HttpResponseMessage response;
        try
        {
            response = await _connection.SendAsync(server => RequestOf(method, new Uri(server, path), body, contentType), either);
        }
        catch (Exception e) when (IsBroken(e) && !cancellation.IsCancellationRequested)
        {
            Answered?.Invoke(method.Method, 0);
            throw Broken(e);
        }
        Answered?.Invoke(method.Method, (int)response.StatusCode);
        if (response.IsSuccessStatusCode) return response;
        using (response) throw await RefusedAsync(response, either);
    }

    private static HttpRequestMessage RequestOf(HttpMethod method, Uri address, ReadOnlyMemory<byte>? body, string contentType)
    {
        var request = new HttpRequestMessage(method, address) { Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionOrLower };
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("application/json"));
        if (body is { } bytes)
        {
            request.Content = new ReadOnlyMemoryContent(bytes);
            request.Content.Headers.ContentType = new MediaTypeHeaderValue(contentType);
        }
        return request;
    }

    internal static bool IsBroken(Exception e) =>
        e is HttpRequestException or IOException or OperationCanceledException or JsonException or InvalidOperationException or System.ComponentModel.Win32Exception or k8s.Exceptions.KubeConfigException;

    private ClusterException Broken(Exception e) => new(0, "", e switch
    {
        OperationCanceledException => $"{Server}: no answer in time",
        JsonException => $"{Server}: the answer is not JSON: {e.Message}",
        _ => $"{Server}: {(e.InnerException is { } inner ? $"{e.Message} ({inner.Message})" : e.Message)}",
    }, e);

    private async Task<ClusterException> RefusedAsync(HttpResponseMessage response, CancellationToken cancellation)
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
        if (code == 401) message = $"the credentials of {_connection.Origin} are not accepted: {message} (have they expired? they are read anew with each try)";
        return new ClusterException(code, reason, message) { RetryAfter = response.Headers.RetryAfter?.Delta };
    }
}
