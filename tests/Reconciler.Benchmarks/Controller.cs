using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Reconciler.Testing;

namespace Reconciler.Benchmarks;

/// <summary>The published binary as the controller of 1,000 nodes: one set made, rolled and deleted, then five; what their nodes would say is said by stand-ins.</summary>
internal static partial class Controller
{
    private const int Nodes = 1000;
    private const int Sets = 5;

    private static readonly TimeSpan Settling = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(4);

    public static async Task RunAsync(Table table)
    {
        await using var cluster = await Cluster.StartAsync();
        await Cluster.ForEachAsync(Nodes, i => ClusterNode.AddAsync(cluster, i));
        var kubeconfig = await cluster.ControllerKubeconfigAsync();
        await using var standIns = new StandIns(cluster);
        using var first = new ControllerProcess(kubeconfig, cluster.Api["controller-1.log"]);
        Task PhaseAsync(string what, Func<Task> act, Func<Task<bool>> done) => Controller.PhaseAsync(table, cluster, standIns, first, what, act, done);
        await first.ListedAsync($"0 sets, 0 workloads, {Nodes} nodes");
        await SettleAsync(table, first, $"controller, {Nodes} nodes and no set");

        await PhaseAsync($"a set over {Nodes} nodes created to all available", () => AddAsync(cluster, 0), () => AreAvailableAsync(cluster, 1));
        await PhaseAsync("its template changed to all rolled, maxUnavailable 10%", () => ChangeAsync(cluster, 0), () => AreAvailableAsync(cluster, 1));
        await PhaseAsync("deleted to all gone", () => cluster.DeleteAsync($"{Cluster.Sets}/s0"), () => AreGoneAsync(cluster));
        await SettleAsync(table, first, "controller after that");

        await PhaseAsync($"{Sets} sets over {Nodes} nodes created to all available", () => Cluster.ForEachAsync(Sets, i => AddAsync(cluster, i)), () => AreAvailableAsync(cluster, Sets));
        await SettleAsync(table, first, $"controller, {Nodes} nodes and {Sets * Nodes} children", "150 MiB");
        await PhaseAsync("one of the sets changed to all rolled", () => ChangeAsync(cluster, 0), () => AreAvailableAsync(cluster, Sets));
        await SettleAsync(table, first, "controller after that", "150 MiB");
        await first.StopAsync();

        using var second = new ControllerProcess(kubeconfig, cluster.Api["controller-2.log"]);
        var began = Stopwatch.GetTimestamp();
        await second.ListedAsync($"{Sets} sets, {Sets * Nodes} workloads, {Nodes} nodes");
        table.Add("controller started beside them to all listed", Stopwatch.GetElapsedTime(began).TotalMilliseconds.ToString("0 ms", CultureInfo.InvariantCulture), "-", "-", "-");
        await SettleAsync(table, second, "controller after that", "150 MiB");
        await second.StopAsync();
    }

    private static async Task SettleAsync(Table table, ControllerProcess controller, string what, string target = "-")
    {
        await Task.Delay(Settling);
        table.Add($"{what}: RSS / peak RSS", string.Create(
            CultureInfo.InvariantCulture, $"{Memory.Resident(controller.Pid):0} / {Memory.Peak(controller.Pid):0} MiB"), "-", "-", target);
    }

    private static async Task PhaseAsync(
        Table table, Cluster cluster, StandIns standIns, ControllerProcess controller, string what, Func<Task> act, Func<Task<bool>> done)
    {
        var (writes, cpu, server, begun) = (await WritesAsync(cluster), Pull.Cpu(controller.Pid), cluster.ServerCpu, Stopwatch.GetTimestamp());
        await act();
        await Eventually.UntilAsync(async () => standIns.Fault is { } fault ? throw fault : await done(), what, Limit);
        var took = Stopwatch.GetElapsedTime(begun);
        cpu = Pull.Cpu(controller.Pid) - cpu;
        server = cluster.ServerCpu - server;
        writes = await WritesAsync(cluster) - writes;
        table.Add($"{what}: time, controller CPU, server CPU, controller's writes", string.Create(CultureInfo.InvariantCulture,
            $"{took.TotalSeconds:0.0} s, {cpu.TotalSeconds:0.0} s, {server.TotalSeconds:0.0} s, {writes}"), "-", "-", "-");
    }

    private static Task AddAsync(Cluster cluster, int set) => cluster.PostAsync(Cluster.Sets, $$"""
        {"apiVersion":"reconciler.dev/v1alpha1","kind":"NodeWorkloadSet","metadata":{"name":"s{{set}}","namespace":"default"},
        "spec":{"nodeSelector":{"matchLabels":{"kubernetes.io/os":"linux"} },"updateStrategy":{"type":"RollingUpdate","maxUnavailable":"10%"},"template":{"spec":{
        """ + Cluster.Template("registry.example/app:1", "1000000") + "}}");

    private static Task ChangeAsync(Cluster cluster, int set) =>
        cluster.PatchAsync($"{Cluster.Sets}/s{set}", """{"spec":{"template":{"spec":{ """ + Cluster.Template("registry.example/app:2", "1000000") + "}}");

    private static async Task<bool> AreAvailableAsync(Cluster cluster, int sets)
    {
        var items = JsonNode.Parse(await cluster.GetAsync(Cluster.Sets))!["items"]!.AsArray();
        return items.Count == sets && items.All(set => set!["status"] is { } status
            && (long?)status["observedGeneration"] == (long?)set["metadata"]!["generation"]
            && (int?)status["numberAvailable"] == Nodes && (int?)status["updatedNumberScheduled"] == Nodes);
    }

    private static async Task<bool> AreGoneAsync(Cluster cluster) =>
        JsonNode.Parse(await cluster.GetAsync(Cluster.Workloads + "?limit=1"))!["items"]!.AsArray().Count == 0
        && JsonNode.Parse(await cluster.GetAsync(Cluster.Sets))!["items"]!.AsArray().Count == 0;

    /// <summary>By the server's own count: nobody else writes workloads or the status of sets.</summary>
    private static async Task<long> WritesAsync(Cluster cluster)
    {
        var written = 0L;
        foreach (Match line in RequestCount().Matches(await cluster.GetAsync("metrics")))
        {
            string Label(string name) => Regex.Match(line.Groups["labels"].Value, $"(?:^|,){name}=\"([^\"]*)\"").Groups[1].Value;
            var (resource, part, verb) = (Label("resource"), Label("subresource"), Label("verb"));
            if (verb is not ("APPLY" or "PATCH" or "POST" or "PUT" or "DELETE")) continue;
            if ((resource == "nodeworkloads" && part.Length == 0) || (resource == "nodeworkloadsets" && part == "status"))
                written += (long)double.Parse(line.Groups["value"].Value, CultureInfo.InvariantCulture);
        }
        return written;
    }

    [GeneratedRegex(@"^apiserver_request_total\{(?<labels>.*)\} (?<value>\S+)$", RegexOptions.Multiline)]
    private static partial Regex RequestCount();
}

/// <summary>One process of the binary as the controller.</summary>
internal sealed class ControllerProcess : IDisposable
{
    private readonly Process _process;
    private readonly string _log;

    public ControllerProcess(string kubeconfig, string log)
    {
        _log = log;
        _process = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", "exec \"$0\" controller --kubeconfig \"$1\" 2>>\"$2\" >&2 </dev/null", Agent.Binary, kubeconfig, log]))!;
    }

    public int Pid => _process.Id;

    public Task ListedAsync(string counts) => Eventually.UntilAsync(
        () => File.Exists(_log) && File.ReadAllText(_log).Contains(counts, StringComparison.Ordinal), $"the controller has listed {counts}");

    /// <summary>Orderly: its Lease is free afterwards.</summary>
    public async Task StopAsync()
    {
        Signals.Send(Pid, Signals.Terminate);
        await _process.WaitForExitAsync().WaitAsync(Eventually.DefaultLimit);
    }

    public void Dispose()
    {
        if (!_process.HasExited) _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }
}
