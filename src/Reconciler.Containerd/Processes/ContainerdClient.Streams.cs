using Grpc.Core;
using Microsoft.Extensions.Logging;
using Reconciler.Containerd.Api.Tasks;

namespace Reconciler.Containerd;

/// <content>Streams and terminals of processes.</content>
public sealed partial class ContainerdClient
{
    /// <summary>Changes the size of the terminal of a container's first process (Tasks.ResizePty). One without a terminal is left alone.</summary>
    /// <param name="id">The container's id.</param>
    /// <param name="columns">1 to 65535.</param>
    /// <param name="rows">Likewise.</param>
    /// <param name="cancellation">Looked at before the call; the call itself is not cut.</param>
    /// <exception cref="ContainerdException">TaskNotfound; or the call failed.</exception>
    public Task ResizeAsync(string id, int columns, int rows, CancellationToken cancellation = default) =>
        ResizeAsync(new ResizePtyRequest { ContainerId = id }, columns, rows, cancellation);

    /// <summary>Likewise that of a further process of the container.</summary>
    /// <param name="id">The container's id.</param>
    /// <param name="execId">The process's own.</param>
    /// <param name="columns">1 to 65535.</param>
    /// <param name="rows">Likewise.</param>
    /// <param name="cancellation">Looked at before the call; the call itself is not cut.</param>
    /// <exception cref="ContainerdException">TaskNotfound: there is no such process; or the call failed.</exception>
    public Task ResizeAsync(string id, string execId, int columns, int rows, CancellationToken cancellation = default)
    {
        Identifiers.Require(execId, nameof(execId));
        return ResizeAsync(new ResizePtyRequest { ContainerId = id, ExecId = execId }, columns, rows, cancellation);
    }

    private async Task ResizeAsync(ResizePtyRequest request, int columns, int rows, CancellationToken cancellation)
    {
        Identifiers.Require(request.ContainerId, "id");
        RequireSize(columns, nameof(columns));
        RequireSize(rows, nameof(rows));
        (request.Width, request.Height) = ((uint)columns, (uint)rows);
        cancellation.ThrowIfCancellationRequested();
        await CallAsync(
            options => Services.Tasks.ResizePtyAsync(request, options), $"resize the terminal of {request.ContainerId}",
            CancellationToken.None, notFound: ContainerdError.TaskNotfound);
    }

    private static void RequireSize(int value, string parameter)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(value, 1, parameter);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(value, ushort.MaxValue, parameter);
    }

    /// <summary>Makes what a new process reads and writes.</summary>
    /// <returns>Null = files, or nothing.</returns>
    private ProcessStreams? OpenStreams(string id, bool isFirst, ContainerIO io, bool terminal)
    {
        try
        {
            io.MakeFiles();
            return io.IsStreamed || terminal ? ProcessStreams.Open(_fifos, id, isFirst, io, terminal) : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ContainerdException($"container {id}: its {(io.StdoutFile.Length > 0 ? "log files" : "FIFOs")} cannot be made: {e.Message}", e);
        }
    }

    private ProcessStreams AttachStreams(TaskInfo task, ContainerIO io)
    {
        if (!_fifos.IsOurs(task.Stdout, task.Id))
        {
            var to = task.Stdout.Length == 0 ? "nowhere" : "to " + task.Stdout;
            throw new ContainerdException($"container {task.Id} has no streams to attach to, its output goes {to}: recover it without");
        }
        try
        {
            return ProcessStreams.Reopen(_fifos, task, io);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ContainerdException($"container {task.Id}: its FIFOs cannot be opened again: {e.Message}", e);
        }
    }

    private void BeginInput(string id, ProcessStreams? streams, bool terminal, string execId = "") =>
        // The end of the input would hang up a terminal, and its output be lost.
        streams?.BeginInput(terminal ? null : end => CloseInputAsync(id, execId, end));

    /// <summary>Tries it over restarts of the daemon, until the process has ended.</summary>
    private async Task CloseInputAsync(string id, string execId, CancellationToken end)
    {
        // The shim holds the FIFO open itself: closing our end alone ends nothing.
        var request = new CloseIORequest { ContainerId = id, ExecId = execId, Stdin = true };
        var delay = FirstDelay;
        while (true)
        {
            try
            {
                await CallAsync(options => Services.Tasks.CloseIOAsync(request, options), $"close the input of {id}", end);
                return;
            }
            catch (ContainerdException e) when (e.RpcStatus == nameof(StatusCode.NotFound))
            {
                return; // it ended first
            }
            catch (ContainerdException e) when (e.IsUnavailable || e.IsTimeout)
            {
                LogWaitBroke(id, e.Message);
            }
            await Task.Delay(delay, Time, end);
            delay = Longer(delay);
        }
    }

    /// <summary>A process was not started: nothing is left of its streams, and its pipes are told.</summary>
    private static async Task FailAsync(ContainerIO io, ProcessStreams? streams, Exception why)
    {
        if (streams is not null) await streams.DisposeAsync();
        await io.FailAsync(why);
    }

    [LoggerMessage(20, LogLevel.Warning, "{Id}: a stream of it failed")]
    private partial void LogStreamFailed(Exception error, string id);
}
