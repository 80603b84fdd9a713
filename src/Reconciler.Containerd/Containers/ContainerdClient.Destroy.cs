namespace Reconciler.Containerd;

/// <content>Ending containers.</content>
public sealed partial class ContainerdClient
{
    /// <summary>
    /// Ends a container, watched or not, running, paused, ended or without a task, and deletes its task, snapshot and record. The first signal goes
    /// to its first process, the SIGKILL after the grace period to everything (Tasks.Get, Kill, Wait, Resume of a paused one, Delete;
    /// Snapshots.Remove, Containers.Delete). Stop hooks of a watched one are called as for any exit, and may still run when this returns. What it and
    /// its exec processes wrote to streams of this client is delivered first; the rest is dropped once its taker takes nothing for 30 s.
    /// </summary>
    /// <param name="id">The container's id.</param>
    /// <param name="options">Null = SIGTERM and 10 s.</param>
    /// <param name="cancellation">Ends the waits; no change is cut. What is not yet deleted stays and may be destroyed again.</param>
    /// <returns>The exit; its code is null if the container never ran or ended unseen.</returns>
    /// <exception cref="ContainerdException">
    /// ContainerNotfound; TrylockFailed: another operation on the id is under way; Timeout: it survives SIGKILL by 30 s, and nothing is deleted;
    /// or a call failed.
    /// </exception>
    public async Task<ExitMessage> DestroyContainerAsync(string id, StopOptions? options = null, CancellationToken cancellation = default)
    {
        Identifiers.Require(id, nameof(id));
        options ??= new StopOptions();
        options.Validate();
        using var held = await LockAsync(id, cancellation);
        var record = await FindRecordAsync(id, cancellation);
        if (record is null)
        {
            await ForgetAsync(id, cancellation);
            throw new ContainerdException(ContainerdError.ContainerNotfound, $"container {id} is not there");
        }
        var exit = await EndAsync(record, options, cancellation);
        await _fifos.EndAsync(id, cancellation);
        if (options.BeforeDelete is { } before) await before(exit, cancellation);
        await DeleteTaskAsync(id, cancellation);
        await DeleteRecordAsync(record, cancellation);
        await ForgetAsync(id, cancellation);
        return exit;
    }

    private async Task<IDisposable> LockAsync(string id, CancellationToken cancellation) =>
        await _locks.TakeAsync(id, Options.LockTimeout, cancellation)
        ?? throw new ContainerdException(ContainerdError.TrylockFailed, $"container {id}: another operation is under way");

    /// <summary>Brings a container to its end, if it has not come to it.</summary>
    private async Task<ExitMessage> EndAsync(Api.Containers.Container record, StopOptions options, CancellationToken cancellation)
    {
        var id = record.Id;
        var task = await GetTaskAsync(id, cancellation);
        if (task is null)
        {
            await SettleAsync(id, CgroupsPath(id, OciJson.Read(record.Spec)), cancellation);
            return Told(id) ?? Unseen();
        }
        if (task.Status == TaskStatus.Stopped) return Told(id) ?? Ended(task);
        if (task.Status == TaskStatus.Created) return new ExitMessage(); // deleting it is enough
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _closing.Token);
        var watch = await WatchOfAsync(id, end.Token);
        try
        {
            return await EndAsync(watch, task, SignalOf(record, options), options.Grace, cancellation);
        }
        finally
        {
            await end.CancelAsync();
            if (!watch.IsPublic) await watch.Loop;
        }
    }

    private async Task<ExitMessage> EndAsync(ContainerWatch watch, TaskInfo task, int? signal, TimeSpan grace, CancellationToken cancellation)
    {
        var paused = task.Status is TaskStatus.Paused or TaskStatus.Pausing;
        if (grace > TimeSpan.Zero)
        {
            if (signal is { } first) await SignalAsync(watch.Id, first, all: false, paused, cancellation);
            if (await ExitWithinAsync(watch.Ended, grace, cancellation) is { } exit) return exit;
        }
        await SignalAsync(watch.Id, Signals.Kill, all: true, paused, cancellation);
        if (await ExitWithinAsync(watch.Ended, Options.Limits.Frozen, cancellation) is { } died) return died;
        // A pause that broke half way leaves it frozen in the kernel and running by its task's word.
        new Cgroup(Options.HostRoot, watch.CgroupsPath).Thaw();
        if (await ExitWithinAsync(watch.Ended, Options.Limits.Kill, cancellation) is { } killed) return killed;
        // The wait may hang where the task itself still tells.
        if (await GetTaskAsync(watch.Id, cancellation) is { Status: TaskStatus.Stopped } ended) return Ended(ended);
        throw new ContainerdException(ContainerdError.Timeout, $"container {watch.Id} did not end within {Options.Limits.Kill} of SIGKILL");
    }

    /// <summary>A paused one gets the signal only once it is resumed.</summary>
    private async Task SignalAsync(string id, int signal, bool all, bool paused, CancellationToken cancellation)
    {
        try
        {
            await KillAsync(id, signal, all, cancellation);
            if (paused) await ResumeAsync(id, cancellation);
        }
        catch (ContainerdException e) when (e.IsNotfound)
        {
            // it ended first: the watch tells
        }
    }

    /// <summary>Lets a paused container go on (Tasks.Resume); one that is not paused, or not there, is no error.</summary>
    /// <param name="id">The container's id.</param>
    /// <param name="cancellation">Looked at before the call; the call itself is not cut.</param>
    /// <exception cref="ContainerdException">No answer: RpcStatus Unavailable, or code Timeout.</exception>
    public async Task ResumeAsync(string id, CancellationToken cancellation = default)
    {
        Identifiers.Require(id, nameof(id));
        cancellation.ThrowIfCancellationRequested();
        try
        {
            await CallAsync(
                options => Services.Tasks.ResumeAsync(new Api.Tasks.ResumeTaskRequest { ContainerId = id }, options), $"resume {id}", CancellationToken.None);
        }
        catch (ContainerdException e) when (!e.IsUnavailable && !e.IsTimeout)
        {
            // it was resumed or ended meanwhile
        }
    }

    private static int? SignalOf(Api.Containers.Container record, StopOptions options) =>
        (options.UseImageSignal && record.Labels.TryGetValue(ContainerLabels.StopSignal, out var text) ? Signals.Parse(text) : null) ?? options.Signal;

    /// <summary>What a watch saw.</summary>
    private ExitMessage? Told(string id) => _watches.TryGetValue(id, out var watch) && watch.HasEnded ? watch.Ended.GetAwaiter().GetResult() : null;
}
