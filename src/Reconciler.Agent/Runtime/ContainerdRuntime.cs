using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Reconciler.Agent.Hosting;
using Reconciler.Agent.Logs;
using Reconciler.Agent.Metrics;
using Reconciler.Containerd;
using Reconciler.Core.Model;
using Reconciler.Core.Ports;
using TaskStatus = Reconciler.Containerd.TaskStatus;

namespace Reconciler.Agent.Runtime;

/// <summary>The node's containers and images on a real containerd, over the client library. Touches only what carries our label.</summary>
public sealed partial class ContainerdRuntime : IContainerRuntime, IAsyncDisposable
{
    private const int ParallelRecoveries = 16;

    /// <summary>The shortest wait that is not "for ever" in <see cref="ContainerdClient.ProbeContainerAsync"/>.</summary>
    private static readonly TimeSpan Glance = TimeSpan.FromMilliseconds(1);

    private static readonly TimeSpan DoubtLimit = TimeSpan.FromSeconds(10);

    private readonly ContainerdClient _client;
    private readonly LogFiles _logs;
    private readonly TimeProvider _time;
    private readonly ILogger<ContainerdRuntime> _logger;
    private readonly Cgroups _cgroups;
    private readonly WorkloadFolders _folders;
    private readonly NetworkFiles _network;
    private readonly SpecBuilder _specs;
    private readonly NodeView _view;
    private readonly StrayShims _shims;
    private readonly PullBoard _pulls;
    private readonly SemaphoreSlim _listing = new(1, 1);
    private readonly Channel<RuntimeEvent> _events = Channel.CreateUnbounded<RuntimeEvent>(new UnboundedChannelOptions { SingleReader = true });

    /// <param name="client">Connected; its namespace is ours. Its stop hooks become ours.</param>
    public ContainerdRuntime(ContainerdClient client, NodeOptions options, LogFiles logs, TimeProvider time, ILogger<ContainerdRuntime> logger)
    {
        _client = client;
        _logs = logs;
        _time = time;
        _logger = logger;
        _cgroups = new Cgroups(options.HostRoot, options.ContainerdNamespace);
        _folders = new WorkloadFolders(options.StateDir, logger);
        var host = new HostRoot(options.HostRoot);
        _network = new NetworkFiles(host, _folders);
        _specs = new SpecBuilder(
            options.ContainerdNamespace, options.SystemdCgroup, _cgroups, new SpecMounts(host, _folders, _network), new SpecSecurity(host), _network);
        _view = new NodeView(_cgroups, time);
        _shims = new StrayShims(host, options.ContainerdAddress, options.ContainerdNamespace, time);
        _pulls = new PullBoard(time);
        client.SetStopHooks(OnStoppedAsync);
    }

    /// <summary>Every answer carries the process that a container was made from, for someone who compares: <c>plan</c>, <c>get -o yaml</c>.</summary>
    public bool Explained
    {
        get => _view.Explained;
        init => _view.Explained = value;
    }

    internal RuntimeMetrics Metrics { get; init; } = RuntimeMetrics.Unheard;

    /// <summary>Restarts of every container there is, from memory.</summary>
    internal IReadOnlyDictionary<ResourceKey, int> Restarts() => _view.Entries(_ => true)
        .GroupBy(entry => entry.Key)
        .ToDictionary(group => group.Key, group => group.Max(entry => Labels.Int(entry.Labels, Labels.Restarts)));

    /// <summary>The pulls under way, for <c>get images</c>.</summary>
    public IReadOnlyList<PullProgress> Snapshot() => _pulls.Snapshot();

    /// <summary>The node as it is known without asking containerd, each container with the process that it was made from.</summary>
    public NodeObservation Remembered() => _view.Observation(explained: true);

    /// <summary>Whether <see cref="Remembered"/> is the whole node: it has been listed since events were last missed.</summary>
    public bool IsListed => _view.IsComplete;

    /// <inheritdoc/>
    public Task<NodeObservation> ListAsync(CancellationToken cancellation) => GuardAsync("list", async () =>
    {
        var began = _view.BeginList();
        try
        {
            // Records before tasks: a container that someone makes now is then never seen without the task it has.
            var records = await _client.ListContainersAsync([Labels.ManagedFilter], cancellation);
            var tasks = await _client.ListTasksAsync(cancellation);
            var images = await _client.ListImagesAsync([], cancellation);
            _view.Merge(began, [.. records.Where(record => Labels.IsManaged(record.Labels))], tasks, [.. images.Select(ToActual)]);
            NoteBrokenLogs(force: false);
            return _view.Observation();
        }
        catch
        {
            _view.AbandonList();
            throw;
        }
    }, cancellation);

    /// <inheritdoc/>
    public async Task<Actual> ObserveAsync(ResourceKey key, string? image, CancellationToken cancellation)
    {
        await CompleteAsync(cancellation);
        await GuardAsync($"look at {key}", async () =>
        {
            foreach (var entry in _view.Entries(entry => entry.Key == key && !entry.Busy)) await LookAsync(entry, cancellation);
            return true;
        }, cancellation);
        return _view.Find(key, image);
    }

    /// <inheritdoc/>
    public async Task RecoverAsync(CancellationToken cancellation)
    {
        await ListAsync(cancellation);
        await GuardAsync("recover", async () =>
        {
            var limits = new ParallelOptions { MaxDegreeOfParallelism = ParallelRecoveries, CancellationToken = cancellation };
            NoteBrokenLogs(force: true);
            await Parallel.ForEachAsync(_view.Entries(entry => entry.MayRun && !entry.Busy), limits, async (entry, token) => await RecoverAsync(entry, token));
            return true;
        }, cancellation);
    }

    /// <inheritdoc/>
    public Task CleanWorkloadsAsync(IReadOnlyCollection<ResourceKey> declared, CancellationToken cancellation) => GuardAsync("clean", async () =>
    {
        if (!_view.IsComplete) return false;
        var used = declared.Where(key => key.Kind == ResourceKind.Container).Select(key => (key.Namespace, key.Name.Split('/')[0])).ToHashSet();
        _folders.Clean(
            (ns, workload) => used.Contains((ns, workload)) || _view.Entries(entry => entry.BelongsTo(ns, workload)).Count > 0,
            cancellation);
        _logs.Present(declared.Where(key => key.Kind == ResourceKind.Container).Concat(_view.Entries(_ => true).Select(entry => entry.Key)).ToHashSet());
        await EndStrayShimsAsync(cancellation);
        return true;
    }, cancellation);

    /// <summary>Ends the watching; containers run on.</summary>
    public async ValueTask DisposeAsync()
    {
        _client.SetStopHooks();
        await FinishNotesAsync();
        _events.Writer.TryComplete();
        _listing.Dispose();
    }

    /// <summary>Lists when something may have been missed; however many keys ask, one list answers them.</summary>
    private async Task CompleteAsync(CancellationToken cancellation)
    {
        if (_view.IsComplete) return;
        await _listing.WaitAsync(cancellation);
        try
        {
            if (!_view.IsComplete) await ListAsync(cancellation);
        }
        finally
        {
            _listing.Release();
        }
    }

    /// <summary>A running one is asked by the watch, which costs no RPC; one that an event or the watch put in doubt is read.</summary>
    private async Task LookAsync(ContainerEntry entry, CancellationToken cancellation)
    {
        var doubtful = entry.Dirty || entry.State == ContainerState.Unknown;
        if (!doubtful && entry.State == ContainerState.Running)
        {
            var message = await _client.ProbeContainerAsync(entry.Id, Glance, cancellation);
            if (message.Error is null) NoteExit(entry.Id, message.ExitCode, message.ExitTime, tell: false);
            else doubtful = message.Error.IsNotfound;
        }
        if (doubtful) await ReadAsync(entry.Id, cancellation);
    }

    private async Task ReadAsync(string id, CancellationToken cancellation)
    {
        var began = _view.Tick();
        ContainerInfo? record = null;
        try
        {
            record = await _client.GetContainerAsync(id, cancellation);
        }
        catch (ContainerdException e) when (e.IsNotfound)
        {
        }
        var task = record is null ? null : await _client.GetTaskAsync(id, cancellation);
        _view.Renew(began, id, record, task);
    }

    private async Task RecoverAsync(ContainerEntry entry, CancellationToken cancellation)
    {
        try
        {
            if (entry.Task is { Status: TaskStatus.Unknown }) await DoubtAsync(entry, cancellation);
            await _client.RecoverContainerAsync(entry.Id, null, cancellation);
        }
        catch (ContainerdException e) when (e.IsNotfound)
        {
            _view.Change(entry.Id, known => known with { Dirty = true });
        }
        catch (ContainerdException e) when (!e.IsUnavailable)
        {
            LogNotRecovered(entry.Id, e.Message);
            _view.Change(entry.Id, known => known with { Dirty = true });
        }
    }

    /// <summary>The task's state is not known: whoever lists its processes got an answer from its shim.</summary>
    private async Task DoubtAsync(ContainerEntry entry, CancellationToken cancellation)
    {
        using var limit = new CancellationTokenSource(DoubtLimit, _time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellation);
        try
        {
            var pids = await _client.ContainerPidsAsync(entry.Id, both.Token);
            LogDoubt(entry.Id, pids.Count);
            await ReadAsync(entry.Id, cancellation);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            LogNotRecovered(entry.Id, "its shim does not answer");
        }
    }

    private async Task EndStrayShimsAsync(CancellationToken cancellation)
    {
        var strays = new List<Shim>();
        foreach (var shim in _shims.Find(id => _view.Entry(id) is not null))
        {
            // Asked after the shim was seen: a record is made before its shim, and removed after it.
            if (await _client.GetTaskAsync(shim.Id, cancellation) is null && !await IsRecordedAsync(shim.Id, cancellation)) strays.Add(shim);
        }
        foreach (var shim in _shims.End(strays)) LogStrayShim(shim.Id, shim.Pid);
    }

    private async Task<bool> IsRecordedAsync(string id, CancellationToken cancellation)
    {
        try
        {
            await _client.GetContainerAsync(id, cancellation);
            return true;
        }
        catch (ContainerdException e) when (e.IsNotfound)
        {
            return false;
        }
    }

    private void NoteBrokenLogs(bool force)
    {
        var running = _view.Entries(entry => entry is { State: ContainerState.Running, Busy: false, LogBroken: false, Task.Stdout.Length: > 0 });
        var logs = running.Select(entry => new RunningLog(entry.Id, entry.Task!.Pid, new LogPaths(entry.Task.Stdout, entry.Task.Stderr))).ToList();
        foreach (var id in _logs.FindBroken(logs, force))
        {
            var known = true;
            _view.Change(id, entry =>
            {
                known = entry.LogBroken;
                return entry with { LogBroken = true };
            });
            if (!known) Metrics.FoundBrokenLog();
            foreach (var entry in running.Where(entry => entry.Id == id)) _events.Writer.TryWrite(new RuntimeEvent.Changed(entry.Key, Exit: false));
        }
    }

    /// <summary>Containers that a full log disk stopped in the middle of a write; they are named as events. Looks as often as <see cref="LogFiles.FindBroken"/> says.</summary>
    public void LookForBrokenLogs() => NoteBrokenLogs(force: false);

    /// <summary>Lets nothing out but <see cref="RuntimeException"/> and the caller's own cancellation.</summary>
    private static async Task<T> GuardAsync<T>(string what, Func<Task<T>> act, CancellationToken cancellation)
    {
        try
        {
            return await act();
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            throw;
        }
        catch (Exception e) when (e is ContainerdException or IOException or UnauthorizedAccessException)
        {
            throw RuntimeErrors.Of(e, what);
        }
        catch (ArgumentException e)
        {
            throw new RuntimeException(RuntimeErrorKind.Refused, FailureReason.Invalid, $"{what}: {e.Message}", e);
        }
        catch (OperationCanceledException e)
        {
            throw new RuntimeException(RuntimeErrorKind.Unavailable, FailureReason.ContainerdUnavailable, $"{what}: no answer in time", e);
        }
        catch (ObjectDisposedException e)
        {
            throw new RuntimeException(RuntimeErrorKind.Unavailable, FailureReason.ContainerdUnavailable, $"{what}: the connection is closed", e);
        }
    }

    [LoggerMessage(1, LogLevel.Warning, "{Id} could not be watched again: {Why}")]
    private partial void LogNotRecovered(string id, string why);

    [LoggerMessage(2, LogLevel.Information, "{Id} was in doubt; its shim lists {Count} processes")]
    private partial void LogDoubt(string id, int count);

    [LoggerMessage(7, LogLevel.Information, "{Id} is not there, but its shim was (pid {Pid}): ended")]
    private partial void LogStrayShim(string id, int pid);
}
