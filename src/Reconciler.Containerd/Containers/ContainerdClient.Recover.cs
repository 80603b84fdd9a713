namespace Reconciler.Containerd;

/// <content>Taking containers up again.</content>
public sealed partial class ContainerdClient
{
    /// <summary>
    /// Watches a container that this client did not make: after a restart of the program, or once more (Containers.Get, Tasks.Get, Tasks.Wait). An
    /// exit in the meantime is told as any other. Deletes nothing; does nothing for a watched one, but for attaching to its streams.
    /// </summary>
    /// <param name="id">The container's id.</param>
    /// <param name="io">
    /// Attached to the FIFOs of the client that made it, if that made it with streams, pipes, callbacks or a terminal: the process waits when they
    /// are full, and its output goes on where it stopped, also its input unless that has ended. What is in them when it ends unattended is lost.
    /// Null, None and Files attach nothing: files are written by the shim itself.
    /// </param>
    /// <param name="cancellation">Ends the calls.</param>
    /// <exception cref="ContainerdException">
    /// ContainerNotfound; TaskNotfound: it has a record only; TrylockFailed; Timeout: its shim does not answer, but it is watched from now on, without
    /// streams; it has no streams to attach to, or they are gone, or attached already; or a call failed.
    /// </exception>
    public async Task RecoverContainerAsync(string id, ContainerIO? io = null, CancellationToken cancellation = default)
    {
        Identifiers.Require(id, nameof(id));
        io ??= ContainerIO.None;
        try
        {
            using var held = await LockAsync(id, cancellation);
            await RecoverAsync(id, io, cancellation);
        }
        catch (Exception e)
        {
            await io.FailAsync(e);
            throw;
        }
    }

    private async Task RecoverAsync(string id, ContainerIO io, CancellationToken cancellation)
    {
        var known = _watches.GetValueOrDefault(id);
        if (io.IsStreamed && _fifos.IsAttached(id)) throw new ContainerdException($"container {id}: its streams are attached already");
        if (known is { HasEnded: false } && !io.IsStreamed) return;
        var record = await GetRecordAsync(id, cancellation);
        TaskInfo? task = null;
        ContainerdException? silence = null;
        try
        {
            task = await GetTaskAsync(id, cancellation)
                ?? throw new ContainerdException(ContainerdError.TaskNotfound, $"container {id} has no task");
        }
        catch (ContainerdException e) when (e.IsTimeout)
        {
            silence = e;
        }
        var answers = task is { Status: not TaskStatus.Unknown };
        var streams = io.IsStreamed && answers ? AttachStreams(task!, io) : null;
        // The exit of a stopped one that is known was told already.
        if (known is null || (known.HasEnded && task?.Status != TaskStatus.Stopped))
            Watch(id, CgroupsPath(id, OciJson.Read(record.Spec)), task?.Pid ?? 0, streams);
        else if (streams is not null && !known.Attach(streams))
            await streams.DeliverAsync(cancellation);
        BeginInput(id, streams, task is { Terminal: true });
        if (!answers) throw new ContainerdException(ContainerdError.Timeout, $"container {id}: its shim does not answer", silence);
    }

    private void Watch(string id, string cgroupsPath, int pid, ProcessStreams? streams) =>
        Begin(new ContainerWatch { Id = id, CgroupsPath = cgroupsPath, Pid = pid, Streams = streams, End = _closing.Token }, null);
}
