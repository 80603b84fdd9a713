using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using System.Text;
using Reconciler.Testing;
using Reconciler.Testing.Kubernetes;

namespace Reconciler.Benchmarks;

/// <summary>An API server with what <c>kubectl apply -k manifests/base</c> installs; accounts have the rights of manifests/ and no others.</summary>
internal sealed class Cluster : IAsyncDisposable
{
    public const string Workloads = "apis/reconciler.dev/v1alpha1/namespaces/default/nodeworkloads";
    public const string Sets = "apis/reconciler.dev/v1alpha1/namespaces/default/nodeworkloadsets";
    public const string Namespace = "reconciler-system";

    /// <summary>Requests at once while objects are laid out.</summary>
    private const int Parallel = 16;

    private Cluster(ApiServer api) => Api = api;

    public ApiServer Api { get; }

    /// <summary>Of the API server and its etcd together, since they started.</summary>
    public TimeSpan ServerCpu => Pull.Cpu(Pid("server")) + Pull.Cpu(Pid("etcd"));

    public static async Task<Cluster> StartAsync()
    {
        var cluster = new Cluster(await ApiServer.StartAsync());
        await cluster.Api.KubectlAsync("apply", "-k", Path.Combine(Checkout.Root, "manifests/base"));
        await cluster.Api.KubectlAsync("wait", "--for=condition=Established", "--timeout=90s", "crd/nodeworkloads.reconciler.dev", "crd/nodeworkloadsets.reconciler.dev");
        foreach (var list in new[] { Workloads, Sets }) await Eventually.UntilAsync(() => cluster.IsServedAsync(list), $"{list} is served");
        return cluster;
    }

    /// <summary>An established kind is refused until its cache is filled.</summary>
    private async Task<bool> IsServedAsync(string list)
    {
        using var answer = await Api.Http.GetAsync(new Uri(list + "?watch=1&timeoutSeconds=1", UriKind.Relative));
        return answer.IsSuccessStatusCode;
    }

    public async Task<string> AgentKubeconfigAsync(string node) => await Api.KubeconfigForAsync(await Api.TokenForAsync(Namespace, "reconciler-agent", node));

    public async Task<string> ControllerKubeconfigAsync() => await Api.KubeconfigForAsync(await Api.TokenForAsync(Namespace, "reconciler-controller"));

    /// <summary>A workload of one container that sleeps, as JSON.</summary>
    public static string Workload(string name, string node, string image, string seconds = "1000000") => $$"""
        {"apiVersion":"reconciler.dev/v1alpha1","kind":"NodeWorkload","metadata":{"name":"{{name}}","namespace":"default"},"spec":{"nodeName":"{{node}}",
        """ + Template(image, seconds);

    /// <summary>The rest of a workload's or a template's spec and two closing braces.</summary>
    public static string Template(string image, string seconds) => $$"""
        "terminationGracePeriodSeconds":0,"hostNetwork":true,"containers":[{"name":"c","image":"{{image}}","command":["sleep","{{seconds}}"]}]
        """ + "}}";

    public Task PostAsync(string path, string json) => SendAsync(HttpMethod.Post, path, json, "application/json");

    public Task PatchAsync(string path, string json) => SendAsync(HttpMethod.Patch, path, json, "application/merge-patch+json");

    public Task DeleteAsync(string path) => SendAsync(HttpMethod.Delete, path, """{"propagationPolicy":"Background"}""", "application/json");

    public async Task<string> GetAsync(string path) => await Api.Http.GetStringAsync(new Uri(path, UriKind.Relative));

    /// <summary>The same for 0 to n-1, many at once.</summary>
    public static Task ForEachAsync(int n, Func<int, Task> act) => System.Threading.Tasks.Parallel.ForEachAsync(
        Enumerable.Range(0, n), new ParallelOptions { MaxDegreeOfParallelism = Parallel }, async (i, _) => await act(i));

    /// <summary>What the server has sent and received on each connection that is open, by the client's address; TLS included, IP headers not.</summary>
    public async Task<Dictionary<string, long>> BytesAsync()
    {
        var lines = await Shell.OutputAsync("ss", "-tinHO", "state", "established", $"sport = :{Api.Port}");
        return lines.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries))
            .ToDictionary(words => words[3], words => words
                .Where(word => word.StartsWith("bytes_sent:", StringComparison.Ordinal) || word.StartsWith("bytes_received:", StringComparison.Ordinal))
                .Sum(word => long.Parse(word.AsSpan(word.IndexOf(':', StringComparison.Ordinal) + 1), CultureInfo.InvariantCulture)));
    }

    /// <summary>Bytes since then on the connections that are open still.</summary>
    public async Task<long> BytesSinceAsync(Dictionary<string, long> before) => (await BytesAsync()).Sum(now => now.Value - before.GetValueOrDefault(now.Key));

    public ValueTask DisposeAsync() => Api.DisposeAsync();

    private int Pid(string name) => int.Parse(File.ReadAllText(Api[$"{name}.pid"]), CultureInfo.InvariantCulture);

    private async Task SendAsync(HttpMethod method, string path, string json, string contentType)
    {
        using var request = new HttpRequestMessage(method, new Uri(path, UriKind.Relative));
        request.Content = new StringContent(json, Encoding.UTF8, new MediaTypeHeaderValue(contentType));
        using var answer = await Api.Http.SendAsync(request);
        if (!answer.IsSuccessStatusCode) throw new InvalidOperationException($"{method} {path}: {(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync()}");
    }
}
