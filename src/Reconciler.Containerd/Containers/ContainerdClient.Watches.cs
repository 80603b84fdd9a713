using System.Collections.Concurrent;
using Grpc.Core;
using Microsoft.Extensions.Logging;
using Reconciler.Containerd.Api.Tasks;

namespace Reconciler.Containerd;

/// <content>Watching exits.</content>
public sealed partial class ContainerdClient
{
    private const uint KilledStatus = 128 + Signals.Kill;

    private static readonly TimeSpan HookLimit = TimeSpan.FromSeconds(30);

    private readonly ConcurrentDictionary<string, ContainerWatch> _watches = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<ContainerWatch, byte> _loops = new();
    private volatile Func<string, ExitMessage, CancellationToken, Task>[] _stopHooks = [];

    /// <summary>
    /// Replaces the hooks that are told when a watched container ends: once per exit, with its id, in the order given, whoever ended it.
    /// <see cref="ProbeContainerAsync"/> answers before they run, and output is delivered as it says. Each is awaited for 30 s at most, and its token is cancelled then; one that
    /// fails or hangs is logged and keeps neither the next hook nor another container waiting. Nothing is deleted on an exit.
    /// </summary>
    /// <param name="hooks">None = nobody is told.</param>
    public void SetStopHooks(params Func<string, ExitMessage, CancellationToken, Task>[] hooks)
    {
        ArgumentNullException.ThrowIfNull(hooks);
        foreach (var hook in hooks) ArgumentNullException.ThrowIfNull(hook, nameof(hooks));
        _stopHooks = [.. hooks];
    }

    /// <summary>
    /// How a container that this client made or recovered ended. No RPC; any number of callers get the same answer, until the container is
    /// destroyed or deleted. A lost connection is no exit. What the container wrote to streams of this client is delivered first, but an exit
    /// waits no longer than 30 s for a taker that takes nothing.
    /// </summary>
    /// <param name="id">The container's id.</param>
    /// <param name="timeout">How long to wait for the exit, at most 49 days; zero or less = for ever.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <returns>The exit; or a message whose Error is Timeout (it runs) or ContainerNotfound (nobody watches it).</returns>
    /// <exception cref="ObjectDisposedException">The client was closed.</exception>
    public async Task<ExitMessage> ProbeContainerAsync(string id, TimeSpan timeout, CancellationToken cancellation = default)
    {
        Identifiers.Require(id, nameof(id));
        Timers.Require(timeout, nameof(timeout));
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        cancellation.ThrowIfCancellationRequested();
        if (!_watches.TryGetValue(id, out var watch))
            return new ExitMessage { Error = new ContainerdException(ContainerdError.ContainerNotfound, $"container {id} is not watched") };
        var limit = timeout > TimeSpan.Zero ? timeout : Timeout.InfiniteTimeSpan;
        return await ExitWithinAsync(watch.Exit, limit, cancellation)
            ?? new ExitMessage { Error = new ContainerdException(ContainerdError.Timeout, $"container {id} did not end within {timeout}") };
    }

    /// <returns>Null = it runs on at the limit.</returns>
    private async Task<ExitMessage?> ExitWithinAsync(Task<ExitMessage> exit, TimeSpan limit, CancellationToken cancellation)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _closing.Token);
        try
        {
            return await exit.WaitAsync(limit, Time, either.Token);
        }
        catch (TimeoutException)
        {
            return null;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new ObjectDisposedException(nameof(ContainerdClient));
        }
    }

    private AsyncUnaryCall<WaitResponse> BeginWait(string id, CancellationToken end) =>
        Services.Tasks.WaitAsync(new WaitRequest { ContainerId = id }, new CallOptions(Headers(null), cancellationToken: end));

    /// <param name="watch">A new one.</param>
    /// <param name="first">A wait begun before; null = the loop begins one.</param>
    private void Begin(ContainerWatch watch, AsyncUnaryCall<WaitResponse>? first)
    {
        if (watch.IsPublic) _watches[watch.Id] = watch;
        _loops[watch] = 0;
        watch.Loop = WatchAsync(watch, first);
    }

    private async Task WatchAsync(ContainerWatch watch, AsyncUnaryCall<WaitResponse>? first)
    {
        try
        {
            var message = await TrueExitAsync(watch, first);
            await watch.CompleteAsync(message);
            if (watch.IsPublic) await TellAsync(_stopHooks, watch.Id, message);
        }
        catch (Exception e) when (watch.End.IsCancellationRequested && e is OperationCanceledException or ObjectDisposedException)
        {
            // nobody waits any more: it runs on and no exit is told
        }
        finally
        {
            _loops.TryRemove(watch, out _);
        }
    }

    /// <summary>Waits over restarts of the daemon until the process has ended.</summary>
    private async Task<ExitMessage> TrueExitAsync(ContainerWatch watch, AsyncUnaryCall<WaitResponse>? first)
    {
        var delay = FirstDelay;
        var next = first;
        while (true)
        {
            try
            {
                using var call = next ?? BeginWait(watch.Id, watch.End);
                next = null;
                var answer = await call.ResponseAsync;
                if (answer.ExitStatus != KilledStatus || !Lives(watch)) return Ended(answer.ExitStatus, answer.ExitedAt);
            }
            catch (RpcException e)
            {
                watch.End.ThrowIfCancellationRequested();
                LogWaitBroke(watch.Id, e.Status.Detail);
            }
            if (await LookForExitAsync(watch) is { } exit) return exit;
            await Task.Delay(delay, Time, watch.End);
            delay = Longer(delay);
        }
    }

    /// <summary>The daemon makes the status of a SIGKILL up for a task whose shim died, and may say so while the process still dies.</summary>
    private bool Lives(ContainerWatch watch)
    {
        var processes = new Cgroup(Options.HostRoot, watch.CgroupsPath).Processes();
        return processes.Contains(watch.Pid) || (watch.Pid == 0 && processes.Count > 0) || processes.Contains(0);
    }

    /// <summary>The exit as far as the task tells it after its wait broke; null = it may run on.</summary>
    private async Task<ExitMessage?> LookForExitAsync(ContainerWatch watch)
    {
        try
        {
            var task = await GetTaskAsync(watch.Id, watch.End);
            if (task is { Status: TaskStatus.Stopped }) return Ended(task);
            if (task is not null) return null;
            await SettleAsync(watch.Id, watch.CgroupsPath, watch.End);
            return Unseen();
        }
        catch (Exception e) when (e is ContainerdException or IOException or UnauthorizedAccessException)
        {
            return null; // not now; the next wait says
        }
    }

    private async Task TellAsync(Func<string, ExitMessage, CancellationToken, Task>[] hooks, string id, ExitMessage message)
    {
        foreach (var hook in hooks)
        {
            using var limit = new CancellationTokenSource(HookLimit, Time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, _closing.Token);
            try
            {
                await hook(id, message, either.Token).WaitAsync(either.Token);
            }
            catch (Exception e)
            {
                if (_closing.IsCancellationRequested) return;
                LogHookFailed(e, id);
            }
        }
    }

    private async Task StopWatchingAsync()
    {
        var loops = _loops.Keys.Select(watch => watch.Loop).ToList();
        await Task.WhenAll(loops).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <summary>A container is no more.</summary>
    private async Task ForgetAsync(string id, CancellationToken cancellation)
    {
        _watches.TryRemove(id, out _);
        await _fifos.EndAsync(id, cancellation);
        _fifos.RemoveAll(id);
    }

    private static ExitMessage Ended(uint status, Google.Protobuf.WellKnownTypes.Timestamp at) =>
        // Without a time it never ran, whatever the status says.
        Times.Read(at) is { } time ? new ExitMessage { ExitCode = (int)status, ExitTime = time } : new ExitMessage();

    private static ExitMessage Ended(TaskInfo task) => new() { ExitCode = task.ExitCode, ExitTime = task.ExitedAt ?? default };

    private ExitMessage Unseen() => new() { ExitTime = Time.GetUtcNow() };

    [LoggerMessage(1, LogLevel.Debug, "{Id}: the wait for its exit broke and is taken up again: {Why}")]
    private partial void LogWaitBroke(string id, string why);

    [LoggerMessage(2, LogLevel.Warning, "{Id}: a hook failed")]
    private partial void LogHookFailed(Exception error, string id);
}
