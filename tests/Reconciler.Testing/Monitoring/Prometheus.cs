using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Reconciler.Testing.Monitoring;

/// <summary>A private Prometheus on a free loopback port.</summary>
public sealed partial class Prometheus : IAsyncDisposable
{
    private readonly TempFolder _folder = new();
    private readonly HttpClient _http = new() { Timeout = TimeSpan.FromMinutes(1) };
    private readonly Process _process;

    private Prometheus(IEnumerable<(string Job, string Target)> targets, string? rules)
    {
        File.WriteAllText(_folder["prometheus.yml"], $"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n{(rules is null ? "" : $"rule_files: [\"{rules}\"]\n")}scrape_configs:\n"
            + string.Concat(targets.Select(target => $"- {{job_name: {target.Job}, static_configs: [{{targets: [\"{target.Target}\"]}}]}}\n")));
        File.WriteAllText(_folder["log"], "");
        _process = Process.Start(new ProcessStartInfo("/bin/sh",
        [
            "-c",
            "exec prometheus --config.file=\"$1/prometheus.yml\" --storage.tsdb.path=\"$1/data\" --web.listen-address=127.0.0.1:0 >>\"$1/log\" 2>&1 </dev/null",
            "sh", _folder.Path,
        ]))!;
        File.WriteAllText(_folder["pid"], _process.Id.ToString(CultureInfo.InvariantCulture));
    }

    private string Log => File.ReadAllText(_folder["log"]);

    /// <param name="targets">host:port of each job.</param>
    /// <param name="rules">Path of a rule file; null = none.</param>
    public static async Task<Prometheus> StartAsync(IEnumerable<(string Job, string Target)> targets, string? rules = null)
    {
        var server = new Prometheus(targets, rules);
        try
        {
            var address = await Eventually.GetAsync(
                () => Task.FromResult(Listening().Match(server.Log) is { Success: true } match ? match.Groups[1].Value : server.Alive<string>()), "prometheus says its port");
            server._http.BaseAddress = new Uri($"http://{address}/");
            await Eventually.UntilAsync(() => server.Alive<string>() is null && server.Log.Contains("Server is ready", StringComparison.Ordinal), "prometheus is ready");
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>What its HTTP API answers; an error of it throws with its text.</summary>
    /// <param name="path">Below /api/v1/, escaped.</param>
    public async Task<JsonNode> GetAsync(string path)
    {
        using var answer = await _http.GetAsync(new Uri($"api/v1/{path}", UriKind.Relative));
        var json = JsonNode.Parse(await answer.Content.ReadAsStringAsync())!;
        return (string?)json["status"] == "success" ? json["data"]! : throw new InvalidOperationException($"{path}: {json["error"]}");
    }

    /// <summary>The samples of an expression now.</summary>
    public async Task<List<(IReadOnlyDictionary<string, string> Labels, double Value)>> QueryAsync(string expression)
    {
        var data = await GetAsync($"query?query={Uri.EscapeDataString(expression)}");
        return [.. data["result"]!.AsArray().Select(sample => (
            (IReadOnlyDictionary<string, string>)sample!["metric"]!.AsObject().ToDictionary(pair => pair.Key, pair => (string)pair.Value!),
            double.Parse((string)sample["value"]![1]!, CultureInfo.InvariantCulture)))];
    }

    public async ValueTask DisposeAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
        _http.Dispose();
        _folder.Dispose();
    }

    private T? Alive<T>() where T : class => _process.HasExited ? throw new InvalidOperationException("prometheus ended: " + Log) : null;

    [GeneratedRegex("address=(127\\.0\\.0\\.1:[1-9][0-9]*)")]
    private static partial Regex Listening();
}
