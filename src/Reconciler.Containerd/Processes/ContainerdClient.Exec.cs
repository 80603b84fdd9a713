using System.Collections.Concurrent;
using System.Text.Json;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Microsoft.Extensions.Logging;
using Reconciler.Containerd.Api.Tasks;

namespace Reconciler.Containerd;

/// <content>Further processes in running containers.</content>
public sealed partial class ContainerdClient
{
    private const string ProcessType = "types.containerd.io/opencontainers/runtime-spec/1/Process";

    private readonly ConcurrentDictionary<ExecRun, Task> _execs = new();
    private readonly Lazy<FifoPoller> _poller = new(() => new FifoPoller());
    private volatile Func<string, ExitMessage, CancellationToken, Task>[] _exitHooks = [];

    /// <summary>
    /// Replaces the hooks that are told, with its exec id, when a process of <see cref="ExecContainerAsync"/> ends or cannot be started, which its
    /// StartError says: once per process, in the order given, under the limits of <see cref="SetStopHooks"/>. <see cref="StartedProcess.Exit"/>
    /// completes before they run.
    /// </summary>
    /// <param name="hooks">None = nobody is told.</param>
    public void SetExitHooks(params Func<string, ExitMessage, CancellationToken, Task>[] hooks)
    {
        ArgumentNullException.ThrowIfNull(hooks);
        foreach (var hook in hooks) ArgumentNullException.ThrowIfNull(hook, nameof(hooks));
        _exitHooks = [.. hooks];
    }

    /// <summary>
    /// Starts a further process in a running container (Containers.Get; Tasks.Exec, Wait, Start; CloseIO at the end of its input; DeleteProcess
    /// after its exit or a failed start) and returns without waiting for its exit. Streams go over FIFOs in
    /// <see cref="ContainerdClientOptions.FifoDirectory"/>, which are removed in the end.
    /// </summary>
    /// <param name="process">What to start.</param>
    /// <param name="cancellation">Looked at before the first change; a started process is not ended by it.</param>
    /// <exception cref="ArgumentException">An id, a path or a stream cannot be used, or there is no program.</exception>
    /// <exception cref="ContainerdException">
    /// ContainerNotfound; TaskNotfound; RpcStatus AlreadyExists: the exec id is in use, and what uses it is untouched; its FIFOs cannot be made; or
    /// what the runtime says, as a command that is not there: nothing of it is left then.
    /// </exception>
    public async Task<StartedProcess> ExecContainerAsync(ExecProcess process, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(process);
        process.Validate();
        var record = await GetRecordAsync(process.ContainerId, cancellation);
        var spec = process.Fill(OciJson.Read(record.Spec)?.Process);
        cancellation.ThrowIfCancellationRequested();
        var streams = OpenStreams(process);
        try
        {
            await AddExecAsync(process, spec, streams);
            var run = new ExecRun(process, streams);
            return await StartExecAsync(run);
        }
        catch
        {
            streams.Dispose();
            throw;
        }
    }

    private ProcessStreams OpenStreams(ExecProcess process)
    {
        try
        {
            return new ProcessStreams(process, Options.FifoDirectory, _poller.Value, Time);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ContainerdException($"exec {process.ExecId} in {process.ContainerId}: its FIFOs cannot be made: {e.Message}", e);
        }
    }

    private async Task AddExecAsync(ExecProcess process, OciProcess spec, ProcessStreams streams)
    {
        var request = new ExecProcessRequest
        {
            ContainerId = process.ContainerId,
            ExecId = process.ExecId,
            Stdin = streams.Stdin,
            Stdout = streams.Stdout,
            Stderr = streams.Stderr,
            Spec = new Any
            {
                TypeUrl = ProcessType,
                Value = UnsafeByteOperations.UnsafeWrap(JsonSerializer.SerializeToUtf8Bytes(spec, OciJson.Default.OciProcess)),
            },
        };
        try
        {
            await CallAsync(
                options => Services.Tasks.ExecAsync(request, options), $"exec {process.ExecId} in {process.ContainerId}",
                CancellationToken.None, notFound: ContainerdError.TaskNotfound);
        }
        catch (ContainerdException e) when (e.IsUnavailable || e.IsTimeout)
        {
            await RemoveExecAsync(process); // it may have been added
            throw;
        }
    }

    private async Task<StartedProcess> StartExecAsync(ExecRun run)
    {
        var process = run.Process;
        var wait = BeginExecWait(process);
        try
        {
            var answer = await CallAsync(
                options => Services.Tasks.StartAsync(new StartRequest { ContainerId = process.ContainerId, ExecId = process.ExecId }, options),
                $"start exec {process.ExecId} in {process.ContainerId}", CancellationToken.None);
            // The loop is in the dictionary before it can remove itself.
            var begin = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _execs[run] = FollowAsync(run, wait, begin.Task);
            begin.SetResult();
            return new StartedProcess((int)answer.Pid, run.Exit.Task);
        }
        catch (ContainerdException e)
        {
            // The wait of a failed start answers 0: it is not listened to.
            wait.Dispose();
            await RemoveExecAsync(process);
            await TellAsync(_exitHooks, process.ExecId, new ExitMessage { StartError = e });
            throw;
        }
    }

    private AsyncUnaryCall<WaitResponse> BeginExecWait(ExecProcess process) => Services.Tasks.WaitAsync(
        new WaitRequest { ContainerId = process.ContainerId, ExecId = process.ExecId }, new CallOptions(Headers(null), cancellationToken: _closing.Token));

    private async Task FollowAsync(ExecRun run, AsyncUnaryCall<WaitResponse> first, Task begin)
    {
        await begin;
        var process = run.Process;
        try
        {
            using var exited = CancellationTokenSource.CreateLinkedTokenSource(_closing.Token);
            var output = CopyOutputAsync(run, exited.Token);
            var input = CopyInputAsync(run, exited.Token);
            ExitMessage message;
            try
            {
                message = await TrueExecExitAsync(process, first);
            }
            finally
            {
                await exited.CancelAsync();
                await Task.WhenAll(input, output);
            }
            await RemoveExecAsync(process);
            run.Streams.Dispose();
            run.Exit.TrySetResult(message);
            await TellAsync(_exitHooks, process.ExecId, message);
        }
        catch (Exception e) when (_closing.IsCancellationRequested && e is OperationCanceledException or ObjectDisposedException)
        {
            run.Streams.Dispose();
            run.Exit.TrySetException(new ObjectDisposedException(nameof(ContainerdClient)));
        }
        finally
        {
            _execs.TryRemove(run, out _);
        }
    }

    /// <summary>What the process writes to a stream that failed is dropped.</summary>
    private async Task CopyOutputAsync(ExecRun run, CancellationToken exited)
    {
        try
        {
            await run.Streams.CopyOutputAsync(exited, _closing.Token);
        }
        catch (Exception e)
        {
            if (!_closing.IsCancellationRequested) LogStreamFailed(e, run.Process.ExecId);
        }
    }

    private async Task CopyInputAsync(ExecRun run, CancellationToken exited)
    {
        if (run.Process.Stdin is null) return;
        var process = run.Process;
        try
        {
            await run.Streams.CopyInputAsync(exited);
        }
        catch (Exception e)
        {
            if (exited.IsCancellationRequested) return;
            LogStreamFailed(e, process.ExecId);
        }
        try
        {
            // The shim holds the FIFO open itself: closing our end alone ends nothing.
            var request = new CloseIORequest { ContainerId = process.ContainerId, ExecId = process.ExecId, Stdin = true };
            await CallAsync(options => Services.Tasks.CloseIOAsync(request, options), $"close input of {process.ExecId}", exited);
        }
        catch (Exception e) when (e is ContainerdException or OperationCanceledException or ObjectDisposedException)
        {
            if (!exited.IsCancellationRequested) LogStreamFailed(e, process.ExecId);
        }
    }

    /// <summary>Waits over restarts of the daemon until the process has ended.</summary>
    private async Task<ExitMessage> TrueExecExitAsync(ExecProcess process, AsyncUnaryCall<WaitResponse> first)
    {
        var delay = FirstDelay;
        AsyncUnaryCall<WaitResponse>? next = first;
        while (true)
        {
            try
            {
                using var call = next ?? BeginExecWait(process);
                next = null;
                var answer = await call.ResponseAsync;
                return Ended(answer.ExitStatus, answer.ExitedAt);
            }
            catch (RpcException e)
            {
                _closing.Token.ThrowIfCancellationRequested();
                if (e.StatusCode == StatusCode.NotFound) return Unseen(); // it went with the task
                LogWaitBroke(process.ExecId, e.Status.Detail);
            }
            await Task.Delay(delay, Time, _closing.Token);
            delay = Longer(delay);
        }
    }

    /// <summary>Deletes an exec process, and kills it first where its start is in doubt. It never throws.</summary>
    private async Task RemoveExecAsync(ExecProcess process)
    {
        using var limit = new CancellationTokenSource(RollbackLimit, Time);
        var delay = FirstDelay;
        var delete = new DeleteProcessRequest { ContainerId = process.ContainerId, ExecId = process.ExecId };
        var kill = new KillRequest { ContainerId = process.ContainerId, ExecId = process.ExecId, Signal = Signals.Kill };
        while (true)
        {
            try
            {
                await CallAsync(
                    options => Services.Tasks.DeleteProcessAsync(delete, options), $"delete exec {process.ExecId}", CancellationToken.None, DeleteLimit);
                return;
            }
            catch (ContainerdException e) when (e.RpcStatus == nameof(StatusCode.NotFound))
            {
                return; // gone already, or with the task
            }
            catch (Exception e) when (e is not ContainerdException || limit.IsCancellationRequested)
            {
                LogExecRemains(e, process.ExecId);
                return;
            }
            catch (ContainerdException)
            {
                await TryKillAsync(kill);
            }
            await Task.Delay(delay, Time, CancellationToken.None);
            delay = Longer(delay);
        }
    }

    private async Task TryKillAsync(KillRequest request)
    {
        try
        {
            await CallAsync(options => Services.Tasks.KillAsync(request, options), $"kill exec {request.ExecId}", CancellationToken.None);
        }
        catch (Exception e) when (e is ContainerdException or ObjectDisposedException)
        {
            LogWaitBroke(request.ExecId, e.Message); // the next delete says
        }
    }

    private async Task StopExecsAsync()
    {
        await Task.WhenAll(_execs.Values).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (_poller.IsValueCreated) _poller.Value.Dispose();
    }

    private sealed class ExecRun(ExecProcess process, ProcessStreams streams)
    {
        public ExecProcess Process => process;

        public ProcessStreams Streams => streams;

        public TaskCompletionSource<ExitMessage> Exit { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    [LoggerMessage(20, LogLevel.Warning, "{Id}: a stream of it failed")]
    private partial void LogStreamFailed(Exception error, string id);

    [LoggerMessage(21, LogLevel.Warning, "{Id}: the ended process could not be deleted")]
    private partial void LogExecRemains(Exception error, string id);
}
