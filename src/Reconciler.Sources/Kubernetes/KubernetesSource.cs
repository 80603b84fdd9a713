using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using Reconciler.Core.Engine;
using Reconciler.Core.Ports;
using Reconciler.Sources.Manifests;

namespace Reconciler.Sources.Kubernetes;

/// <summary>The NodeWorkloads of this node in a cluster. Without the API server the last known ones stay in force.</summary>
/// <param name="reflector">Of this node's NodeWorkloads.</param>
/// <param name="options">This node; what is known is kept under its state dir.</param>
/// <param name="time">Clock of the waits.</param>
/// <param name="logger">Where trouble with the file is told.</param>
public sealed partial class KubernetesSource(Reflector reflector, ManifestOptions options, TimeProvider time, ILogger<KubernetesSource> logger) : IDesiredSource
{
    public const string WorkloadsPath = "apis/reconciler.dev/v1alpha1/nodeworkloads";

    /// <summary>A server that is there answers in this time; then what was on disk counts, until it does answer.</summary>
    private static readonly TimeSpan FirstAnswer = TimeSpan.FromSeconds(3);

    /// <summary>The version alone, which moves with every bookmark, is not worth a disk write each time.</summary>
    private static readonly TimeSpan VersionSaved = TimeSpan.FromMinutes(1);

    private readonly ClusterMerge _merge = new(options);
    private volatile TaskCompletionSource _accepted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile ClusterView _view = new(ImmutableDictionary<ObjectName, ClusterWorkload>.Empty, "not read yet");

    public string Name => ClusterMerge.Source;

    /// <summary>The newest knowledge, for whoever writes status.</summary>
    public ClusterView View => _view;

    /// <summary>Raised with each new <see cref="View"/>.</summary>
    public ChangeSignal Changed { get; } = new();

    /// <summary>Of this node's objects, below the server's URL.</summary>
    public static string Selector(string node) => $"fieldSelector={Uri.EscapeDataString($"spec.nodeName={node}")}";

    /// <summary>Someone says that objects an older server lacks may go. May be called at any time, also before there is such a doubt.</summary>
    public void AcceptLoss() => _accepted.TrySetResult();

    /// <summary>What an agent without an API server would start with now.</summary>
    public static SourceState Read(ManifestOptions options) =>
        new ClusterMerge(options).Remembered(ClusterMemoryFile.In(options.StateDir).Load(out _), "what the agent last knew; the API server was not asked");

    public async IAsyncEnumerable<SourceState> WatchAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        var file = ClusterMemoryFile.In(options.StateDir);
        var memory = file.Load(out var error);
        if (error is not null) LogMemoryLost(error);
        var (saved, savedAt) = (memory, time.GetTimestamp());
        await using var states = reflector.FollowAsync(cancellation).GetAsyncEnumerator(cancellation);
        var next = states.MoveNextAsync().AsTask();
        if (await Task.WhenAny(next, Task.Delay(FirstAnswer, time, cancellation)) != next)
            yield return _merge.Remembered(memory, "the API server has not answered yet");
        for (ClusterState? state = null; await NextAsync(next, state is { IsListed: true } && memory.Regressed); )
        {
            var noticed = time.GetUtcNow();
            if (next.IsCompleted)
            {
                state = states.Current;
                next = states.MoveNextAsync().AsTask();
            }
            var result = _merge.Merge(state!, memory, TakeAcceptance(state!));
            memory = result.Memory;
            var worth = !memory.SameObjects(saved) || (memory.ResourceVersion != saved.ResourceVersion && time.GetElapsedTime(savedAt) >= VersionSaved);
            yield return result.State with { NoticedAt = noticed };
            Show(result); // now that the loop has it: Stopped must not be said of a deleted object while its keys are not taken back yet
            if (worth && Save(file, memory)) (saved, savedAt) = (memory, time.GetTimestamp()); // afterwards: nothing waits for the disk
        }
    }

    /// <summary>Waits for the reflector, and while a loss is held also for the word that it is accepted.</summary>
    private async Task<bool> NextAsync(Task<bool> next, bool holding)
    {
        if (holding && await Task.WhenAny(next, _accepted.Task) != next) return true;
        return await next;
    }

    /// <summary>The word is good for one list: a later loss needs its own.</summary>
    private bool TakeAcceptance(ClusterState state)
    {
        if (!state.IsListed || !_accepted.Task.IsCompleted) return false;
        _accepted = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        return true;
    }

    private void Show(ClusterMerge.Result result)
    {
        _view = new ClusterView(result.Workloads, result.State.Doubt) { IsHolding = result.Memory.Regressed };
        Changed.Raise();
    }

    private bool Save(ClusterMemoryFile file, ClusterMemory memory)
    {
        try
        {
            file.Save(memory);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            LogMemoryNotSaved(e.Message);
            return false;
        }
    }

    [LoggerMessage(2201, LogLevel.Warning, "What was known of the cluster is lost: {Error}")]
    private partial void LogMemoryLost(string error);

    [LoggerMessage(2202, LogLevel.Warning, "What is known of the cluster cannot be saved: {Error}")]
    private partial void LogMemoryNotSaved(string error);
}

/// <summary>This node's workloads in the cluster at one moment.</summary>
/// <param name="Workloads">Of the last complete list and the events since; empty before the first.</param>
/// <param name="Doubt">Why it may be out of date; empty = it is not.</param>
public sealed record ClusterView(ImmutableDictionary<ObjectName, ClusterWorkload> Workloads, string Doubt)
{
    /// <summary>The server went back in time, and what it lacks is kept until someone accepts the loss.</summary>
    public bool IsHolding { get; init; }
}
