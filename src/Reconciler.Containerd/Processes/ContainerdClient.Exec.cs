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
    /// after its exit or a failed start) and returns without waiting for its exit.
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
        var io = process.IO ?? ContainerIO.None;
        ProcessStreams? streams = null;
        try
        {
            var record = await GetRecordAsync(process.ContainerId, cancellation);
            var spec = process.Fill(OciJson.Read(record.Spec)?.Process);
            cancellation.ThrowIfCancellationRequested();
            streams = OpenStreams(process.ContainerId, isFirst: false, io, process.Terminal);
            await AddExecAsync(process, spec, streams);
            return await StartExecAsync(new ExecRun(process, streams));
        }
        catch (Exception e)
        {
            await FailAsync(io, streams, e);
            throw;
        }
    }

    private async Task AddExecAsync(ExecProcess process, OciProcess spec, ProcessStreams? streams)
    {
        var io = process.IO ?? ContainerIO.None;
        var request = new ExecProcessRequest
        {
            ContainerId = process.ContainerId,
            ExecId = process.ExecId,
            Stdin = streams?.Stdin ?? "",
            Stdout = streams?.Stdout ?? io.StdoutFile,
            Stderr = streams?.Stderr ?? io.StderrFile,
            Terminal = process.Terminal,
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
        catch (ContainerdException e) when (IsInDoubt(e))
        {
            await Task.Delay(Options.Limits.Doubt, Time, CancellationToken.None);
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
            BeginInput(process.ContainerId, run.Streams, process.Terminal, process.ExecId);
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
            var message = await TrueExecExitAsync(process, first);
            if (run.Streams is not null) await run.Streams.EndAsync();
            _closing.Token.ThrowIfCancellationRequested();
            await RemoveExecAsync(process);
            run.Exit.TrySetResult(message);
            await TellAsync(_exitHooks, process.ExecId, message);
        }
        catch (Exception e) when (_closing.IsCancellationRequested && e is OperationCanceledException or ObjectDisposedException)
        {
            if (run.Streams is not null) await run.Streams.EndAsync();
            run.Exit.TrySetException(new ObjectDisposedException(nameof(ContainerdClient)));
        }
        finally
        {
            _execs.TryRemove(run, out _);
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
        using var limit = new CancellationTokenSource(Options.Limits.Rollback, Time);
        var delay = FirstDelay;
        var delete = new DeleteProcessRequest { ContainerId = process.ContainerId, ExecId = process.ExecId };
        var kill = new KillRequest { ContainerId = process.ContainerId, ExecId = process.ExecId, Signal = Signals.Kill };
        while (true)
        {
            try
            {
                await CallAsync(
                    options => Services.Tasks.DeleteProcessAsync(delete, options), $"delete exec {process.ExecId}", CancellationToken.None, Options.Limits.Delete);
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

    private Task StopExecsAsync() => Task.WhenAll(_execs.Values);

    private sealed class ExecRun(ExecProcess process, ProcessStreams? streams)
    {
        public ExecProcess Process => process;

        public ProcessStreams? Streams => streams;

        public TaskCompletionSource<ExitMessage> Exit { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    [LoggerMessage(21, LogLevel.Warning, "{Id}: the ended process could not be deleted")]
    private partial void LogExecRemains(Exception error, string id);
}
