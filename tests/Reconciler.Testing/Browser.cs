using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json.Nodes;

namespace Reconciler.Testing;

/// <summary>A headless Chromium with one page, driven over the DevTools protocol.</summary>
public sealed class Browser : IAsyncDisposable
{
    private static readonly string[] Flags =
    [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-default-apps", "--no-default-browser-check", "--remote-debugging-port=0",
    ];

    private readonly TempFolder _folder = new();
    private readonly ClientWebSocket _socket = new();
    private readonly ConcurrentDictionary<int, TaskCompletionSource<JsonNode>> _waiting = new();
    private readonly ConcurrentQueue<string> _complaints = new();
    private readonly ConcurrentQueue<string> _requests = new();
    private readonly SemaphoreSlim _sending = new(1, 1);
    private readonly CancellationTokenSource _ended = new();
    private Process? _process;
    private Task _reading = Task.CompletedTask;
    private int _id;

    private Browser()
    {
    }

    /// <summary>Errors and warnings of the console, uncaught exceptions, and what the page's policy blocked. Refused connections are none: the page tells of those.</summary>
    public IReadOnlyList<string> Complaints => [.. _complaints];

    /// <summary>The URL of everything the page asked for.</summary>
    public IReadOnlyList<string> Requests => [.. _requests];

    public static async Task<Browser> StartAsync(int width = 1280, int height = 900)
    {
        var browser = new Browser();
        try
        {
            await browser.LaunchAsync(width, height);
            return browser;
        }
        catch
        {
            await browser.DisposeAsync();
            throw;
        }
    }

    public async Task OpenAsync(string url)
    {
        await SendAsync("Page.navigate", new JsonObject { ["url"] = url });
        await Eventually.UntilAsync(async () => (bool?)await EvaluateAsync("document.readyState === 'complete' && location.href !== 'about:blank'") == true, $"{url} is there");
    }

    /// <summary>The value of a script's expression.</summary>
    public async Task<JsonNode?> EvaluateAsync(string expression)
    {
        var answer = await SendAsync("Runtime.evaluate", new JsonObject { ["expression"] = expression, ["returnByValue"] = true });
        if (answer["exceptionDetails"] is { } failed) throw new InvalidOperationException($"{expression}: {failed.ToJsonString()}");
        return answer["result"]!["value"]?.DeepClone();
    }

    public Task UntilAsync(string expression, string what) => Eventually.UntilAsync(async () => (bool?)await EvaluateAsync(expression) == true, what);

    /// <summary>As on a screen of this size; a dark one where asked for.</summary>
    public async Task ResizeAsync(int width, int height, bool dark = false)
    {
        await SendAsync("Emulation.setDeviceMetricsOverride", new JsonObject { ["width"] = width, ["height"] = height, ["deviceScaleFactor"] = 1, ["mobile"] = false });
        await SendAsync("Emulation.setScrollbarsHidden", new JsonObject { ["hidden"] = true });
        var scheme = new JsonObject { ["name"] = "prefers-color-scheme", ["value"] = dark ? "dark" : "light" };
        await SendAsync("Emulation.setEmulatedMedia", new JsonObject { ["features"] = new JsonArray(scheme) });
    }

    /// <summary>A PNG of the whole page.</summary>
    public async Task<byte[]> ScreenshotAsync() =>
        Convert.FromBase64String((string)(await SendAsync("Page.captureScreenshot", new JsonObject { ["captureBeyondViewport"] = true }))["data"]!);

    public async ValueTask DisposeAsync()
    {
        await _ended.CancelAsync();
        await _reading.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _socket.Dispose();
        if (_process is not null)
        {
            if (!_process.HasExited) _process.Kill(entireProcessTree: true);
            await _process.WaitForExitAsync().WaitAsync(Eventually.DefaultLimit);
            _process.Dispose();
        }
        // Its helpers go a moment after it, and may still write.
        await Eventually.UntilAsync(() =>
        {
            try
            {
                _folder.Dispose();
                return true;
            }
            catch (IOException)
            {
                return false;
            }
        }, "the browser's folder goes");
        _ended.Dispose();
        _sending.Dispose();
    }

    private async Task LaunchAsync(int width, int height)
    {
        Directory.CreateDirectory(_folder["home"]);
        var start = new ProcessStartInfo("/bin/sh",
        [
            "-c", "log=$1; shift; exec chromium \"$@\" >\"$log\" 2>&1 </dev/null", "sh", _folder["log"], $"--user-data-dir={_folder["profile"]}", $"--window-size={width},{height}", .. Flags, "about:blank",
        ]);
        foreach (var name in new[] { "HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TMPDIR" }) start.Environment[name] = _folder["home"];
        foreach (var name in new[] { "http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY" }) start.Environment.Remove(name);
        _process = Process.Start(start)!;
        var port = await Eventually.GetAsync(() => Task.FromResult(Port()), "the browser says its port");
        using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false });
        var page = await Eventually.GetAsync(async () =>
        {
            var targets = JsonNode.Parse(await http.GetStringAsync(new Uri($"http://127.0.0.1:{port}/json/list")))!.AsArray();
            return (string?)targets.FirstOrDefault(target => (string?)target!["type"] == "page")?["webSocketDebuggerUrl"];
        }, "the browser has a page");
        _socket.Options.Proxy = null;
        await _socket.ConnectAsync(new Uri(page), _ended.Token).WaitAsync(Eventually.DefaultLimit);
        _reading = ReadAsync();
        foreach (var domain in new[] { "Page", "Runtime", "Log", "Network" }) await SendAsync($"{domain}.enable", []);
    }

    private string? Port()
    {
        if (_process!.HasExited) throw new InvalidOperationException("chromium ended: " + File.ReadAllText(_folder["log"]));
        var path = _folder["profile/DevToolsActivePort"];
        return File.Exists(path) && File.ReadAllText(path).Split('\n') is [{ Length: > 0 } port, _, ..] ? port : null;
    }

    private async Task<JsonNode> SendAsync(string method, JsonObject parameters)
    {
        var (id, answer) = (Interlocked.Increment(ref _id), new TaskCompletionSource<JsonNode>(TaskCreationOptions.RunContinuationsAsynchronously));
        _waiting[id] = answer;
        var message = new JsonObject { ["id"] = id, ["method"] = method, ["params"] = parameters };
        await _sending.WaitAsync(_ended.Token);
        try
        {
            await _socket.SendAsync(Encoding.UTF8.GetBytes(message.ToJsonString()), WebSocketMessageType.Text, endOfMessage: true, _ended.Token);
        }
        finally
        {
            _sending.Release();
        }
        return await answer.Task.WaitAsync(Eventually.DefaultLimit);
    }

    private async Task ReadAsync()
    {
        var (buffer, message) = (new byte[64 << 10], new MemoryStream());
        try
        {
            while (true)
            {
                var got = await _socket.ReceiveAsync(buffer, _ended.Token);
                if (got.MessageType == WebSocketMessageType.Close) throw new WebSocketException("the browser closed the connection");
                message.Write(buffer, 0, got.Count);
                if (!got.EndOfMessage) continue;
                Take(JsonNode.Parse(message.ToArray())!);
                message.SetLength(0);
            }
        }
        catch (Exception e)
        {
            foreach (var (_, waiting) in _waiting) waiting.TrySetException(e);
            throw;
        }
    }

    private void Take(JsonNode message)
    {
        if ((int?)message["id"] is { } id)
        {
            if (!_waiting.TryRemove(id, out var waiting)) return;
            if (message["error"] is { } error) waiting.SetException(new InvalidOperationException(error.ToJsonString()));
            else waiting.SetResult(message["result"]!);
            return;
        }
        var parameters = message["params"]!;
        switch ((string?)message["method"])
        {
            case "Network.requestWillBeSent":
                _requests.Enqueue((string)parameters["request"]!["url"]!);
                break;
            case "Runtime.exceptionThrown":
                _complaints.Enqueue(parameters.ToJsonString());
                break;
            case "Runtime.consoleAPICalled" when (string?)parameters["type"] is "error" or "warning" or "assert":
                _complaints.Enqueue(parameters.ToJsonString());
                break;
            case "Log.entryAdded" when (string?)parameters["entry"]!["level"] is "error" or "warning" && (string?)parameters["entry"]!["source"] != "network":
                _complaints.Enqueue(parameters.ToJsonString());
                break;
        }
    }
}
