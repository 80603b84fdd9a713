using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Reconciler.Agent.Cluster;
using Reconciler.Agent.Hosting;
using Reconciler.Agent.Logs;
using Reconciler.Agent.Runtime;
using Reconciler.Agent.State;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;
using Reconciler.Sources.Kubernetes;
using Reconciler.Sources.Manifests;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.Benchmarks;

/// <summary>
/// 1,000 agents of one API server in this process, each with its own token, connection, reflector, status writer and Lease, the agent's own code; of
/// containers they say at once that they run. What it costs the server, and the memory of a process that holds nothing else.
/// </summary>
internal static class Agents
{
    private const int Count = 1000;
    private const int Rounds = 2;

    private static readonly TimeSpan Settling = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Watched = TimeSpan.FromSeconds(60);

    public static async Task RunAsync(ContainerdDaemon daemon, Registry registry, Table table)
    {
        using var folder = new TempFolder();
        await using var cluster = await Cluster.StartAsync();
        await using var client = await Bare.ConnectAsync(daemon, registry);
        var options = new NodeOptions { NodeName = "bench", StateDir = folder["state"], LogDir = folder["log"], ContainerdAddress = daemon.Address, ContainerdNamespace = daemon.Namespace };
        await using var runtime = new ContainerdRuntime(client, options, new LogFiles(options.LogDir, TimeProvider.System), TimeProvider.System, NullLogger<ContainerdRuntime>.Instance);
        await Cluster.ForEachAsync(Count, i => cluster.PostAsync(Cluster.Workloads, Cluster.Workload(ClusterNode.Name(i), ClusterNode.Name(i), "registry.example/app:1")));
        var kubeconfigs = new string[Count];
        for (var i = 0; i < Count; i++) kubeconfigs[i] = await cluster.AgentKubeconfigAsync(ClusterNode.Name(i));

        var memory = Used();
        var (server, begun) = (cluster.ServerCpu, Stopwatch.GetTimestamp());
        var agents = kubeconfigs.Select((kubeconfig, i) => new SimulatedAgent(kubeconfig, ClusterNode.Name(i), folder[ClusterNode.Name(i)], runtime)).ToList();
        try
        {
            await ReadyAsync(agents, 1);
            table.Add($"{Count} agents started to every status written: time, server CPU", string.Create(
                CultureInfo.InvariantCulture, $"{Stopwatch.GetElapsedTime(begun).TotalSeconds:0.0} s, {(cluster.ServerCpu - server).TotalSeconds:0.0} s"), "-", "-", "-");
            await Task.Delay(Settling);
            table.Add("memory per agent (reflector, status writer, state, Lease, connection): managed / resident", string.Create(
                CultureInfo.InvariantCulture, $"{(Used().Managed - memory.Managed) / Count:0} / {(Used().Resident - memory.Resident) / Count:0} KiB"), "-", "-", "-");
            await RestAsync(cluster, table);
            await ChangeAsync(cluster, table, agents);
        }
        finally
        {
            await Parallel.ForEachAsync(agents, async (agent, _) => await agent.DisposeAsync());
        }
    }

    private static async Task RestAsync(Cluster cluster, Table table)
    {
        var (server, bytes) = (cluster.ServerCpu, await cluster.BytesAsync());
        await Task.Delay(Watched);
        (server, var moved) = (cluster.ServerCpu - server, await cluster.BytesSinceAsync(bytes));
        table.Add($"{Count} agents with nothing to do: server CPU of one core, bytes per agent and minute", string.Create(
            CultureInfo.InvariantCulture, $"{server / Watched:0.0 %}, {moved / Count}"), "-", "-", "-");
    }

    private static async Task ChangeAsync(Cluster cluster, Table table, List<SimulatedAgent> agents)
    {
        var (server, bytes, begun) = (cluster.ServerCpu, await cluster.BytesAsync(), Stopwatch.GetTimestamp());
        for (var round = 1; round <= Rounds; round++)
        {
            var patch = $$"""{"spec":{"terminationGracePeriodSeconds":{{round}} } }""";
            await Cluster.ForEachAsync(Count, i => cluster.PatchAsync($"{Cluster.Workloads}/{ClusterNode.Name(i)}", patch));
            await ReadyAsync(agents, round + 1);
        }
        var (took, cpu, moved) = (Stopwatch.GetElapsedTime(begun), cluster.ServerCpu - server, await cluster.BytesSinceAsync(bytes));
        table.Add($"{Rounds * Count} changes written, followed and told as done: time, per change server CPU, bytes", string.Create(
            CultureInfo.InvariantCulture, $"{took.TotalSeconds:0.0} s, {cpu.TotalMilliseconds / (Rounds * Count):0.0} ms, {moved / (Rounds * Count)}"), "-", "-", "-");
    }

    private static Task ReadyAsync(List<SimulatedAgent> agents, long generation) =>
        Eventually.UntilAsync(() => agents.TrueForAll(agent => agent.ReadyGeneration >= generation), $"every status says that generation {generation} is ready", TimeSpan.FromMinutes(5));

    /// <summary>In KiB.</summary>
    private static (double Managed, double Resident) Used()
    {
        var managed = GC.GetTotalMemory(forceFullCollection: true) / 1024.0;
        return (managed, Memory.Resident(Environment.ProcessId) * 1024);
    }
}

/// <summary>The agent's code towards the cluster, and a node that runs everything at once.</summary>
internal sealed class SimulatedAgent : IAsyncDisposable
{
    private readonly ClusterClient _client;
    private readonly KubernetesSource _source;
    private readonly StateSink _sink;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task[] _parts;
    private long _ready;

    public SimulatedAgent(string kubeconfig, string node, string stateDir, ContainerdRuntime runtime)
    {
        Directory.CreateDirectory(stateDir);
        var time = TimeProvider.System;
        _client = ClusterClient.Open(new ClusterOptions { Kubeconfig = kubeconfig, Program = "reconciler-agent" }, time);
        var reflector = new Reflector(_client, KubernetesSource.WorkloadsPath, KubernetesSource.Selector(node), time, Random.Shared.NextDouble, NullLogger.Instance);
        _source = new KubernetesSource(reflector, new ManifestOptions { NodeName = node, StateDir = stateDir }, time, NullLogger<KubernetesSource>.Instance);
        _sink = StateSink.Open(stateDir, new AgentProcess { Node = node, Kubernetes = true, Phase = "Running" }, time, NullLogger.Instance);
        var writer = new StatusWriter(_client, _source, _sink, runtime, runtime.Snapshot, time, NullLogger<StatusWriter>.Instance);
        var lease = new AgentLease(_client, _source, Cluster.Namespace, node, node, time, NullLogger<AgentLease>.Instance);
        _parts = [FollowAsync(), ReadBackAsync(), writer.RunAsync(_stop.Token), lease.RunAsync(_stop.Token)];
    }

    /// <summary>The newest generation that the API server shows as Ready; 0 = none.</summary>
    public long ReadyGeneration => Volatile.Read(ref _ready);

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        foreach (var part in _parts) await part.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _sink.DisposeAsync();
        _client.Dispose();
        _stop.Dispose();
    }

    private async Task FollowAsync()
    {
        await foreach (var state in _source.WatchAsync(_stop.Token))
        {
            foreach (var resource in state.Resources.Values)
                _sink.Report(new StatusReport(
                    resource.Key, new Condition(true, ConditionReason.Running), [], 0, null, DateTimeOffset.UtcNow, resource is ContainerSpec spec ? spec.Hash : ""));
        }
    }

    private async Task ReadBackAsync()
    {
        while (true)
        {
            var changed = _source.Changed.Next;
            foreach (var workload in _source.View.Workloads.Values)
                if (ObjectTimes.IsReady(workload.Object))
                    Volatile.Write(ref _ready, workload.Object.Generation);
            await changed.WaitAsync(_stop.Token);
        }
    }
}
