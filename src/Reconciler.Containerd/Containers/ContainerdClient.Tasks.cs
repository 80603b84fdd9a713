using Grpc.Core;
using Microsoft.Extensions.Logging;
using Reconciler.Containerd.Api.Tasks;

namespace Reconciler.Containerd;

/// <content>Tasks.</content>
public sealed partial class ContainerdClient
{

    private static readonly TimeSpan SettlePoll = TimeSpan.FromMilliseconds(20);

    /// <summary>All tasks of the namespace (Tasks.List). One whose shim does not answer has the status Unknown and takes containerd 2 s.</summary>
    /// <exception cref="ContainerdException">The call failed.</exception>
    public async Task<IReadOnlyList<TaskInfo>> ListTasksAsync(CancellationToken cancellation = default)
    {
        var answer = await CallAsync(options => Services.Tasks.ListAsync(new ListTasksRequest(), options), "list tasks", cancellation);
        return [.. answer.Tasks.Select(TaskInfo.From)];
    }

    /// <summary>
    /// The task of a container (Tasks.Get); null = there is none. That does not mean that its processes are dead: after the death of a shim they
    /// live on for up to some seconds, see <see cref="DeleteTaskAsync"/>.
    /// </summary>
    /// <exception cref="ContainerdException">The call failed; code Timeout if the shim does not answer.</exception>
    public async Task<TaskInfo?> GetTaskAsync(string id, CancellationToken cancellation = default)
    {
        Identifiers.Require(id, nameof(id));
        try
        {
            var answer = await CallAsync(
                options => Services.Tasks.GetAsync(new GetRequest { ContainerId = id }, options), $"get task {id}", cancellation, notFound: ContainerdError.TaskNotfound);
            return TaskInfo.From(answer.Process) with { Id = id };
        }
        catch (ContainerdException e) when (e.IsNotfound)
        {
            return null;
        }
    }

    /// <summary>Process id of a container's first process: from the watch without an RPC, else by Tasks.Get.</summary>
    /// <exception cref="ContainerdException">ContainerNotfound; TaskNotfound if it does not run; or the call failed.</exception>
    public async Task<int> ContainerPidAsync(string id, CancellationToken cancellation = default)
    {
        Identifiers.Require(id, nameof(id));
        if (_watches.TryGetValue(id, out var watch) && watch is { HasEnded: false, Pid: > 0 }) return watch.Pid;
        var task = await GetTaskAsync(id, cancellation);
        if (task is { Status: not TaskStatus.Stopped, Pid: > 0 }) return task.Pid;
        if (task is null) await GetContainerAsync(id, cancellation);
        throw new ContainerdException(ContainerdError.TaskNotfound, $"container {id} does not run");
    }

    /// <summary>Process ids on the host of everything in a container (Tasks.ListPids, which runs runc); none for an ended one.</summary>
    /// <exception cref="ContainerdException">ContainerNotfound, TaskNotfound, or the call failed.</exception>
    public async Task<IReadOnlyList<int>> ContainerPidsAsync(string id, CancellationToken cancellation = default)
    {
        Identifiers.Require(id, nameof(id));
        try
        {
            var answer = await CallAsync(
                options => Services.Tasks.ListPidsAsync(new ListPidsRequest { ContainerId = id }, options),
                $"list processes of {id}", cancellation, notFound: ContainerdError.TaskNotfound);
            return [.. answer.Processes.Select(process => (int)process.Pid)];
        }
        catch (ContainerdException e) when (e.IsNotfound)
        {
            await GetContainerAsync(id, cancellation);
            throw;
        }
    }

    /// <summary>Sends a signal (Tasks.Kill). A process that has ended already is no error; a paused one gets it when it is resumed.</summary>
    /// <param name="id">The container's id.</param>
    /// <param name="signal">1 to 64.</param>
    /// <param name="all">To everything in the container, not only to its first process.</param>
    /// <param name="cancellation">Looked at before the call; the call itself is not cut.</param>
    /// <exception cref="ContainerdException">TaskNotfound, or the call failed.</exception>
    public Task KillAsync(string id, int signal, bool all = false, CancellationToken cancellation = default) =>
        KillAsync(new KillRequest { ContainerId = id, All = all }, id, signal, cancellation);

    /// <summary>Likewise to a further process of the container.</summary>
    /// <param name="id">The container's id.</param>
    /// <param name="execId">The process's own.</param>
    /// <param name="signal">1 to 64.</param>
    /// <param name="cancellation">Looked at before the call; the call itself is not cut.</param>
    /// <exception cref="ContainerdException">TaskNotfound: there is no such process; or the call failed.</exception>
    public Task KillAsync(string id, string execId, int signal, CancellationToken cancellation = default)
    {
        Identifiers.Require(execId, nameof(execId));
        return KillAsync(new KillRequest { ContainerId = id, ExecId = execId }, $"{execId} in {id}", signal, cancellation);
    }

    private async Task KillAsync(KillRequest request, string what, int signal, CancellationToken cancellation)
    {
        Identifiers.Require(request.ContainerId, "id");
        ArgumentOutOfRangeException.ThrowIfLessThan(signal, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(signal, Signals.Max);
        cancellation.ThrowIfCancellationRequested();
        request.Signal = (uint)signal;
        try
        {
            await CallAsync(options => Services.Tasks.KillAsync(request, options), $"kill {what}", CancellationToken.None, notFound: ContainerdError.TaskNotfound);
        }
        catch (ContainerdException e) when (e.InnerException is RpcException rpc && IsFinished(rpc))
        {
            // it ended first
        }
    }

    /// <summary>
    /// Waits for the exit of a container, watched or not (Tasks.Wait), for as long as it takes and over restarts of the daemon. No hook is called.
    /// </summary>
    /// <returns>The exit; null = the task is or went away without a code, and nothing of it runs any more.</returns>
    /// <exception cref="ContainerdException">A call failed.</exception>
    public async Task<ExitMessage?> WaitAsync(string id, CancellationToken cancellation = default)
    {
        if (await GetTaskAsync(id, cancellation) is null)
        {
            await SettleAsync(id, await CgroupsPathAsync(id, cancellation), cancellation);
            return null;
        }
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _closing.Token);
        var watch = await WatchOfAsync(id, end.Token);
        try
        {
            var exit = await ExitWithinAsync(watch.Exit, Timeout.InfiniteTimeSpan, cancellation);
            return exit is { ExitCode: null } ? null : exit;
        }
        finally
        {
            await end.CancelAsync();
            if (!watch.IsPublic) await watch.Loop;
        }
    }

    /// <summary>The watch of a live container, or a private one that tells no hook.</summary>
    private async Task<ContainerWatch> WatchOfAsync(string id, CancellationToken end)
    {
        if (_watches.TryGetValue(id, out var known) && !known.HasEnded) return known;
        var watch = new ContainerWatch { Id = id, CgroupsPath = await CgroupsPathAsync(id, end), IsPublic = false, End = end };
        Begin(watch, null);
        return watch;
    }

    /// <summary>
    /// Deletes the task of an ended or never started container (Tasks.Delete). Where the shim died or the task is gone, it first waits until no
    /// process of it is left: 10 s at most for the daemon's own clean-up, then they are killed through their cgroup.
    /// </summary>
    /// <param name="id">The container's id.</param>
    /// <param name="cancellation">Ends the waits; the delete itself is not cut.</param>
    /// <returns>How it ended; null = there was no task.</returns>
    /// <exception cref="ContainerdException">It runs, its processes survive SIGKILL (code Timeout), or a call failed.</exception>
    public async Task<ExitMessage?> DeleteTaskAsync(string id, CancellationToken cancellation = default)
    {
        Identifiers.Require(id, nameof(id));
        // Where its processes are is asked before the record may go.
        var cgroup = await CgroupsPathAsync(id, cancellation);
        var began = Time.GetTimestamp();
        var delay = SettlePoll;
        while (true)
        {
            cancellation.ThrowIfCancellationRequested();
            try
            {
                var answer = await CallAsync(
                    options => Services.Tasks.DeleteAsync(new DeleteTaskRequest { ContainerId = id }, options),
                    $"delete task {id}", CancellationToken.None, Options.Limits.Delete, notFound: ContainerdError.TaskNotfound);
                return Ended(answer.ExitStatus, answer.ExitedAt);
            }
            catch (ContainerdException e) when (e.IsNotfound)
            {
                await SettleAsync(id, cgroup, cancellation);
                return null;
            }
            catch (ContainerdException e) when (e.InnerException is RpcException rpc && Errors.IsShimGone(rpc))
            {
                if (Time.GetElapsedTime(began) > Options.Limits.Delete) throw;
            }
            await Task.Delay(delay, Time, cancellation);
            delay = Longer(delay);
        }
    }

    /// <summary>Returns when no process is left in the cgroup of a task that containerd no longer has.</summary>
    private async Task SettleAsync(string id, string cgroupsPath, CancellationToken cancellation)
    {
        var cgroup = new Cgroup(Options.HostRoot, cgroupsPath);
        if (!cgroup.IsVisible)
        {
            await Task.Delay(Options.Limits.Settle, Time, cancellation);
            return;
        }
        if (await IsEmptyWithinAsync(cgroup, kill: false, cancellation)) return;
        LogKilledCgroup(id, cgroupsPath);
        if (await IsEmptyWithinAsync(cgroup, kill: true, cancellation)) return;
        throw new ContainerdException(ContainerdError.Timeout, $"container {id}: processes in {cgroupsPath} survive SIGKILL");
    }

    private async Task<bool> IsEmptyWithinAsync(Cgroup cgroup, bool kill, CancellationToken cancellation)
    {
        var began = Time.GetTimestamp();
        while (cgroup.Processes().Count > 0)
        {
            if (Time.GetElapsedTime(began) > Options.Limits.Settle) return false;
            if (kill) cgroup.Kill();
            await Task.Delay(SettlePoll, Time, cancellation);
        }
        return true;
    }

    private async Task<string> CgroupsPathAsync(string id, CancellationToken cancellation)
    {
        if (_watches.TryGetValue(id, out var watch)) return watch.CgroupsPath;
        var record = await FindRecordAsync(id, cancellation);
        return CgroupsPath(id, record is null ? null : OciJson.Read(record.Spec));
    }

    /// <summary>runc's own choice for a spec without a path is the id.</summary>
    private string CgroupsPath(string id, OciSpec? spec) =>
        spec is null ? $"/{Options.Namespace}/{id}" : spec.Linux?.CgroupsPath is { Length: > 0 } path ? path : "/" + id;

    private static bool IsFinished(RpcException error) =>
        error.StatusCode == StatusCode.NotFound && error.Status.Detail.Contains("already finished", StringComparison.Ordinal);

    [LoggerMessage(3, LogLevel.Warning, "{Id}: its task is gone and its processes in {Cgroup} live on: they are killed")]
    private partial void LogKilledCgroup(string id, string cgroup);
}
