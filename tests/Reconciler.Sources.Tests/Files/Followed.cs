using System.Collections.Immutable;
using Microsoft.Extensions.Logging.Abstractions;
using Reconciler.Core.Model;
using Reconciler.Core.Ports;
using Reconciler.Sources.Files;
using Reconciler.Sources.Manifests;
using Reconciler.Testing;

namespace Reconciler.Sources.Tests.Files;

/// <summary>A folder source that runs, and every state it gave.</summary>
internal sealed class Followed : IAsyncDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(90);

    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _lock = new();
    private readonly Task _run;
    private ImmutableList<SourceState> _states = [];
    private TaskCompletionSource _next = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Followed(string folder, string stateDir)
    {
        Source = SourceOf(folder, stateDir);
        _run = Task.Run(RunAsync);
    }

    public FolderSource Source { get; }

    public ImmutableList<SourceState> States => _states;

    public static FolderSource SourceOf(string folder, string stateDir) =>
        new(folder, new ManifestOptions { NodeName = "n1", StateDir = stateDir }, TimeProvider.System, NullLogger<FolderSource>.Instance);

    /// <summary>The first state from number <paramref name="from"/> on that is as wanted.</summary>
    public async Task<SourceState> UntilAsync(Func<SourceState, bool> wanted, string what, int from = 0)
    {
        using var deadline = new CancellationTokenSource(Limit);
        while (true)
        {
            Task next;
            lock (_lock)
            {
                if (_states.Skip(from).FirstOrDefault(wanted) is { } state) return state;
                next = _next.Task;
            }
            if (await Task.WhenAny(next, _run, Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, deadline.Token)) == next) continue;
            if (_run.IsCompleted) await _run;
            throw new TimeoutException($"Waited {Limit} for: {what}. Last state: {Describe(_states.LastOrDefault())}");
        }
    }

    /// <summary>Exactly these workloads, as namespace/workload, and a synced source.</summary>
    public Task<SourceState> UntilDeclaredAsync(params string[] workloads) =>
        UntilAsync(state => state.Synced && Workloads(state).SequenceEqual(workloads), string.Join(", ", workloads), 0);

    public static IEnumerable<string> Workloads(SourceState state) => state.Resources.Values.OfType<ContainerSpec>()
        .Select(container => $"{container.Namespace}/{container.Workload}").Distinct().Order(StringComparer.Ordinal);

    public static string Mark(SourceState state, string workload) =>
        state.Resources.TryGetValue(ResourceKey.Container("default", workload, "c"), out var container) ? ((ContainerSpec)container).Process.Args[0] : "";

    /// <summary>A workload of one container whose only argument is a mark.</summary>
    public static string Workload(string name, string mark = "1") => $$"""
        apiVersion: reconciler.dev/v1alpha1
        kind: NodeWorkload
        metadata: {name: {{name}}}
        spec: {hostNetwork: true, containers: [{name: c, image: busybox:1, args: ["{{mark}}"]}]}

        """;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _run);
        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        await foreach (var state in Source.WatchAsync(_stop.Token))
        {
            TaskCompletionSource next;
            lock (_lock)
            {
                _states = _states.Add(state);
                next = _next;
                _next = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }
            next.SetResult();
        }
    }

    private static string Describe(SourceState? state) => state is null
        ? "none"
        : $"synced={state.Synced} doubt={state.Doubt} [{string.Join(", ", state.Resources.Keys)}] held=[{string.Join(", ", state.Held)}] {string.Join("; ", state.Problems)}";
}

/// <summary>A folder of manifests and a state dir.</summary>
internal sealed class Place : IDisposable
{
    private readonly TempFolder _folder = new();

    public Place()
    {
        Directory.CreateDirectory(Manifests);
        Directory.CreateDirectory(StateDir);
    }

    public string Manifests => _folder["m"];

    public string StateDir => _folder["state"];

    public string this[string name] => _folder[name];

    public string Label(string file) => $"file:{Manifests}/{file}";

    public Followed Follow() => new(Manifests, StateDir);

    public SourceState ReadOnce() => Followed.SourceOf(Manifests, StateDir).Read();

    /// <summary>In one step: on a slow machine a scan may fall between truncating and writing.</summary>
    public void Write(string file, string content)
    {
        var path = Path.Combine(Manifests, file);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(this["new"], content);
        File.Move(this["new"], path, overwrite: true);
    }

    /// <summary>Points a link elsewhere in one step, as git-sync and kubelet do.</summary>
    public async Task LinkAsync(string link, string target)
    {
        File.CreateSymbolicLink(this["link"], target);
        await Shell.OutputAsync("mv", "-T", this["link"], link);
    }

    public void Dispose() => _folder.Dispose();
}
