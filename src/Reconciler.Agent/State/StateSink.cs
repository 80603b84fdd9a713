using Microsoft.Extensions.Logging;
using Reconciler.Core.Engine;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;

namespace Reconciler.Agent.State;

/// <summary>Keeps the newest report per key, writes them to state.json at most five times a second, and says each action in the log.</summary>
public sealed partial class StateSink : IStatusSink, IAsyncDisposable
{
    public const int MaxEvents = 20;

    public const int MaxForgotten = 20;

    private static readonly TimeSpan MinimumPeriod = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan RetryAfterFailure = TimeSpan.FromSeconds(5);

    private readonly Lock _lock = new();
    private readonly Dictionary<ResourceKey, KeyState> _keys = [];
    private readonly HashSet<ResourceKey> _begun = [];
    private readonly Queue<KeyState> _forgotten = [];
    private readonly SemaphoreSlim _signal = new(0);
    private readonly CancellationTokenSource _stop = new();
    private readonly string _path;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly ITimer _heartbeat;
    private readonly Task _writer;
    private AgentProcess _agent;
    private IReadOnlyList<PullState> _pulls = [];
    private readonly SortedDictionary<string, IReadOnlyList<string>> _problems = new(StringComparer.Ordinal);
    private bool _dirty;
    private bool _closed;

    private StateSink(string stateDir, AgentProcess agent, AgentState? before, TimeProvider time, ILogger logger)
    {
        (_path, _agent, _time, _logger) = (StateFile.PathIn(stateDir), agent, time, logger);
        foreach (var key in before?.Keys ?? []) _keys[key.Key] = key;
        _heartbeat = time.CreateTimer(_ => Signal(), null, AgentLiveness.Heartbeat, AgentLiveness.Heartbeat);
        _writer = Task.Run(WriteAsync);
        MarkDirty();
    }

    /// <summary>Takes over what an earlier agent left. A damaged or foreign file is set aside as state.json.broken.</summary>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public static StateSink Open(string stateDir, AgentProcess agent, TimeProvider time, ILogger logger)
    {
        var path = StateFile.PathIn(stateDir);
        AgentState? before = null;
        try
        {
            before = StateFile.Read(path);
        }
        catch (InvalidDataException e)
        {
            File.Move(path, path + ".broken", overwrite: true);
            LogBroken(logger, path, e.Message);
        }
        return new StateSink(stateDir, agent, before, time, logger);
    }

    /// <summary>Raised with each new report.</summary>
    public ChangeSignal Changed { get; } = new();

    /// <summary>Gets every report that says something new, in order. Must not block or throw.</summary>
    public Action<StatusReport>? Reported { get; set; }

    /// <summary>Gets every pass before it acts, with what was last kept about its key. Must not block or throw.</summary>
    public Action<KeyState?, PlannedKey>? Begun { get; set; }

    /// <summary>The newest report of every key.</summary>
    public IReadOnlyDictionary<ResourceKey, KeyState> Keys()
    {
        lock (_lock) return new Dictionary<ResourceKey, KeyState>(_keys);
    }

    public AgentProcess Agent
    {
        get
        {
            lock (_lock) return _agent;
        }
    }

    /// <summary>What state.json holds, or will in a moment.</summary>
    public AgentState Snapshot()
    {
        lock (_lock) return new AgentState { Agent = _agent, Keys = [.. _keys.Values], Pulls = _pulls, Problems = [.. _problems.Values.SelectMany(lines => lines)] };
    }

    /// <summary>The last keys that were forgotten, at most <see cref="MaxForgotten"/>: what was done to them is told while the agent runs.</summary>
    public IReadOnlyList<KeyState> Forgotten()
    {
        lock (_lock) return [.. _forgotten];
    }

    public void SetPhase(string phase, string message = "")
    {
        lock (_lock)
        {
            if (_agent.Phase == phase && _agent.Message == message) return;
            _agent = _agent with { Phase = phase, Message = message };
            _dirty = true;
        }
        Signal();
    }

    public void SetPulls(IReadOnlyList<PullState> pulls)
    {
        lock (_lock)
        {
            if (pulls.Count == 0 && _pulls.Count == 0) return;
            _pulls = pulls;
            _dirty = true;
        }
        Signal();
    }

    /// <summary>Replaces what is wrong with one source.</summary>
    public void SetProblems(string source, IReadOnlyList<string> problems)
    {
        lock (_lock)
        {
            if (_problems.GetValueOrDefault(source, []).SequenceEqual(problems)) return;
            _problems[source] = problems;
            _dirty = true;
        }
        Signal();
    }

    public IReadOnlyCollection<ResourceKey> Known
    {
        get
        {
            lock (_lock) return [.. _keys.Keys];
        }
    }

    public void Begin(PlannedKey planned)
    {
        KeyState? before;
        lock (_lock)
        {
            before = _keys.GetValueOrDefault(planned.Key);
            if (planned.Plan.Actions.Count > 0) _begun.Add(planned.Key);
        }
        Begun?.Invoke(before, planned);
    }

    /// <summary>Containers of a workload that are on the node, or that an unfinished pass may put there.</summary>
    public IReadOnlyList<ResourceKey> Left(string ns, string workload)
    {
        var prefix = workload + "/";
        lock (_lock)
        {
            return [.. _keys.Keys.Union(_begun).Where(key => key.Kind == ResourceKind.Container && key.Namespace == ns && key.Name.StartsWith(prefix, StringComparison.Ordinal))];
        }
    }

    public void Report(StatusReport report)
    {
        KeyState? before;
        KeyState after;
        lock (_lock)
        {
            _begun.Remove(report.Key);
            before = _keys.GetValueOrDefault(report.Key);
            after = KeyHistory.Merge(before, report);
            if (ReferenceEquals(before, after)) return;
            _keys[report.Key] = after;
            _dirty = true;
        }
        Log(before, report);
        Reported?.Invoke(report);
        Changed.Raise();
        Signal();
    }

    public KeyMemory? Recall(ResourceKey key)
    {
        lock (_lock)
        {
            return _keys.TryGetValue(key, out var state)
                ? new KeyMemory(state.Attempt, state.NextTry, state.SpecHash, new Condition(state.Ready, state.Reason, state.Message))
                : null;
        }
    }

    public void Forget(ResourceKey key)
    {
        lock (_lock)
        {
            var known = _keys.Remove(key, out var last);
            if (!known & !_begun.Remove(key)) return;
            if (last is not null) _forgotten.Enqueue(last);
            if (_forgotten.Count > MaxForgotten) _forgotten.Dequeue();
            _dirty = true;
        }
        Changed.Raise();
        Signal();
    }

    public async ValueTask DisposeAsync()
    {
        if (_closed) return;
        _closed = true;
        SetPhase("Stopped");
        SetPulls([]);
        await _heartbeat.DisposeAsync();
        await _stop.CancelAsync();
        await _writer;
        WriteNow();
        _stop.Dispose();
        _signal.Dispose();
    }

    private void MarkDirty()
    {
        lock (_lock) _dirty = true;
        Signal();
    }

    private void Signal()
    {
        try
        {
            if (_signal.CurrentCount == 0) _signal.Release();
        }
        catch (ObjectDisposedException)
        {
            // a last tick of the timer, or a report after the end
        }
    }

    private async Task WriteAsync()
    {
        try
        {
            while (true)
            {
                await _signal.WaitAsync(_stop.Token);
                await Task.Delay(WriteNow() ? MinimumPeriod : RetryAfterFailure, _time, _stop.Token);
            }
        }
        catch (OperationCanceledException)
        {
            // DisposeAsync writes what is left
        }
    }

    private bool WriteNow()
    {
        AgentState state;
        bool dirty;
        lock (_lock)
        {
            (dirty, _dirty) = (_dirty, false);
            state = Snapshot();
        }
        try
        {
            if (dirty || !File.Exists(_path)) StateFile.Write(_path, state);
            File.SetLastWriteTimeUtc(_path, _time.GetUtcNow().UtcDateTime);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            LogNotWritten(_logger, _path, e.Message);
            MarkDirty();
            return false;
        }
    }

    private void Log(KeyState? before, StatusReport report)
    {
        for (var i = 0; i < report.Actions.Count; i++)
        {
            var action = report.Actions[i];
            if (report.Failed && i == report.Actions.Count - 1) LogFailed(_logger, report.Key, ActionText.Of(action), action.Reason);
            else LogDone(_logger, report.Key, ActionText.Of(action), action.Reason);
        }
        if (!report.Failed && (report.Actions.Count > 0 || (before?.Reason == report.Condition.Reason && before.Message == report.Condition.Message))) return;
        if (report.Failed) LogProblem(_logger, report.Key, report.Condition.Reason, report.Condition.Message, report.Attempt, Wait(report));
        else LogCondition(_logger, report.Key, report.Condition.Reason, report.Condition.Message.Length > 0 ? ": " + report.Condition.Message : "");
    }

    private static string Wait(StatusReport report) => report.NextTry is { } next
        ? string.Create(System.Globalization.CultureInfo.InvariantCulture, $"in {Math.Max(0, (next - report.At).TotalSeconds):0.#} s")
        : "on the next change";

    [LoggerMessage(1001, LogLevel.Information, "{Key}: {Action} ({Reason})")]
    private static partial void LogDone(ILogger logger, ResourceKey key, string action, string reason);

    [LoggerMessage(1002, LogLevel.Warning, "{Key}: could not {Action} ({Reason})")]
    private static partial void LogFailed(ILogger logger, ResourceKey key, string action, string reason);

    [LoggerMessage(1003, LogLevel.Warning, "{Key}: {Reason}: {Message}; attempt {Attempt}, again {Wait}")]
    private static partial void LogProblem(ILogger logger, ResourceKey key, string reason, string message, int attempt, string wait);

    [LoggerMessage(1004, LogLevel.Information, "{Key}: {Reason}{Message}")]
    private static partial void LogCondition(ILogger logger, ResourceKey key, string reason, string message);

    [LoggerMessage(1005, LogLevel.Warning, "{Path} could not be read and is now {Path}.broken: {Error}; reasons and backoff start afresh")]
    private static partial void LogBroken(ILogger logger, string path, string error);

    [LoggerMessage(1006, LogLevel.Warning, "{Path} could not be written, trying again: {Error}")]
    private static partial void LogNotWritten(ILogger logger, string path, string error);
}
