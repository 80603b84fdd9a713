using System.Collections.Concurrent;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Microsoft.Extensions.Logging;
using Reconciler.Containerd.Api.Containers;
using Reconciler.Containerd.Api.Snapshots;
using Reconciler.Containerd.Api.Tasks;
using Reconciler.Containerd.Images;

namespace Reconciler.Containerd;

/// <content>Making containers.</content>
public sealed partial class ContainerdClient
{
    private const int MostUsers = 1024;

    /// <summary>Looked-up users by snapshot and name: neither ever changes.</summary>
    private readonly ConcurrentDictionary<(string ChainId, string User), OciUser> _users = new();

    /// <summary>
    /// Makes a container, starts it and watches its exit (Images.Get, Content.Read; Containers.Create, Snapshots.Prepare, once per image and user
    /// Containers.Update, Tasks.Create, Wait, Start). If any of it fails, or the caller cancels, everything made is removed again before this
    /// throws; only a daemon that stays away longer than 60 s leaves a record behind.
    /// </summary>
    /// <param name="container">What to make. It is not changed.</param>
    /// <param name="cancellation">Looked at between the calls; a call that changes something is not cut.</param>
    /// <returns>Process id on the host.</returns>
    /// <exception cref="ArgumentException">An id, label or path breaks containerd's rules.</exception>
    /// <exception cref="ContainerdException">
    /// ImageNotfound; TrylockFailed; RpcStatus AlreadyExists: the id is in use, and what uses it is untouched; no such user in the image; or what
    /// the runtime says, as a command that is not there.
    /// </exception>
    public async Task<int> CreateContainerAsync(Container container, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(container);
        container.Validate();
        if (Options.SystemdCgroup && container.Spec is { } given) SpecRules.RequireScope(given);
        Making? making = null;
        try
        {
            using var held = await LockAsync(container.Id, cancellation);
            var image = await ResolveImageAsync(container.Image, cancellation);
            var spec = ImageSpec.Fill(container, container.Spec ?? DefaultSpec.Create(container.Id, Options.Namespace, Options.SystemdCgroup), image.Config);
            making = new Making(container, image, UserOf(container, spec, image), CgroupsPath(container.Id, spec));
            if (making.User is { } known && spec.Process!.User is null) spec = ImageSpec.WithUser(spec, known);
            return await MakeAsync(making, spec, cancellation);
        }
        catch (Exception e)
        {
            await FailAsync(container.IO ?? ContainerIO.None, making?.Streams, e);
            throw;
        }
    }

    private async Task<int> MakeAsync(Making making, OciSpec spec, CancellationToken cancellation)
    {
        try
        {
            await CreateRecordAsync(making, spec);
            cancellation.ThrowIfCancellationRequested();
            var rootfs = await PrepareAsync(making);
            if (spec.Process!.User is null) spec = await LookUpUserAsync(making, spec, rootfs, cancellation);
            cancellation.ThrowIfCancellationRequested();
            var pid = await CreateTaskAsync(making, rootfs, spec.Process!.Terminal);
            cancellation.ThrowIfCancellationRequested();
            await StartAsync(making, pid, spec.Process.Terminal);
            return pid;
        }
        catch (Exception e)
        {
            await RollBackAsync(making, IsInDoubt(e));
            throw;
        }
    }

    private async Task StartAsync(Making making, int pid, bool terminal)
    {
        var id = making.Container.Id;
        var wait = BeginWait(id, _closing.Token);
        try
        {
            await CallAsync(options => Services.Tasks.StartAsync(new StartRequest { ContainerId = id }, options), $"start {id}", CancellationToken.None);
        }
        catch
        {
            wait.Dispose();
            throw;
        }
        Begin(new ContainerWatch { Id = id, CgroupsPath = making.CgroupsPath, Pid = pid, Streams = making.Streams, End = _closing.Token }, wait);
        BeginInput(id, making.Streams, terminal);
    }

    private async Task CreateRecordAsync(Making making, OciSpec spec)
    {
        var container = making.Container;
        var record = new Api.Containers.Container
        {
            Id = container.Id,
            Image = container.Image,
            Runtime = RuntimeOf(Options),
            Snapshotter = Options.Snapshotter,
            SnapshotKey = container.Id,
            Spec = OciJson.ToAny(spec),
        };
        foreach (var (key, value) in container.Labels) record.Labels[key] = value;
        var signal = container.StopSignal ?? making.Image.Config.StopSignal;
        if (signal.Length > 0) record.Labels.TryAdd(ContainerLabels.StopSignal, signal);
        foreach (var (name, value) in container.Extensions) record.Extensions[name] = value.ToAny();
        var began = Time.GetUtcNow();
        making.MayHaveRecord = true;
        try
        {
            await CallAsync(
                options => Services.Containers.CreateAsync(new CreateContainerRequest { Container = record }, options),
                $"create container {container.Id}", CancellationToken.None);
        }
        catch (ContainerdException e)
        {
            if (e.IsUnavailable || e.IsTimeout) making.RecordInDoubtSince = began;
            else making.MayHaveRecord = false; // refused: what there is, is someone else's
            throw;
        }
    }

    private async Task<IReadOnlyList<Api.Types.Mount>> PrepareAsync(Making making)
    {
        var id = making.Container.Id;
        var request = new PrepareSnapshotRequest { Snapshotter = Options.Snapshotter, Key = id, Parent = making.Image.ChainId };
        making.MayHaveSnapshot = true;
        try
        {
            return (await CallAsync(options => Services.Snapshots.PrepareAsync(request, options), $"prepare snapshot {id}", CancellationToken.None)).Mounts;
        }
        catch (ContainerdException e) when (e is { IsUnavailable: false, IsTimeout: false })
        {
            making.MayHaveSnapshot = false;
            throw;
        }
    }

    private async Task<OciSpec> LookUpUserAsync(Making making, OciSpec spec, IReadOnlyList<Api.Types.Mount> rootfs, CancellationToken cancellation)
    {
        var user = ReadUser(making, rootfs);
        if (_users.Count >= MostUsers) _users.Clear();
        _users[(making.Image.ChainId, making.UserText)] = user;
        spec = ImageSpec.WithUser(spec, user);
        cancellation.ThrowIfCancellationRequested();
        await UpdateRecordAsync(new UpdateContainerRequest
        {
            Container = new Api.Containers.Container { Id = making.Container.Id, Spec = OciJson.ToAny(spec) },
            UpdateMask = new FieldMask { Paths = { "spec" } },
        });
        return spec;
    }

    private OciUser ReadUser(Making making, IReadOnlyList<Api.Types.Mount> rootfs)
    {
        try
        {
            var files = LayerFiles.Of(rootfs, Options.HostRoot);
            return ImageUser.Resolve(making.UserText, files?.ReadText("/etc/passwd") ?? "", files?.ReadText("/etc/group") ?? "");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ContainerdException($"container {making.Container.Id}: its image's users cannot be read: {e.Message}", e);
        }
    }

    private OciUser? UserOf(Container container, OciSpec spec, ResolvedImage image) =>
        spec.Process!.User ?? _users.GetValueOrDefault((image.ChainId, UserText(container, image)));

    private static string UserText(Container container, ResolvedImage image) => container.User switch
    {
        null => image.Config.User,
        [':', ..] group => image.Config.User.Split(':', 2)[0] + group,
        var user => user,
    };

    private async Task<int> CreateTaskAsync(Making making, IReadOnlyList<Api.Types.Mount> rootfs, bool terminal)
    {
        var io = making.Container.IO ?? ContainerIO.None;
        making.Streams = OpenStreams(making.Container.Id, isFirst: true, io, terminal);
        var request = new CreateTaskRequest
        {
            ContainerId = making.Container.Id,
            Stdin = making.Streams?.Stdin ?? "",
            Stdout = making.Streams?.Stdout ?? io.StdoutFile,
            Stderr = making.Streams?.Stderr ?? io.StderrFile,
            Terminal = terminal,
        };
        request.Rootfs.AddRange(rootfs);
        making.MayHaveTask = true;
        var answer = await CallAsync(
            options => Services.Tasks.CreateAsync(request, options), $"create task {making.Container.Id}", CancellationToken.None);
        return (int)answer.Pid;
    }

    /// <summary>Removes what a failed create made. It never throws: the first failure is the one to tell.</summary>
    /// <param name="making">How far it came.</param>
    /// <param name="inDoubt">The daemon may still be at the call that failed.</param>
    private async Task RollBackAsync(Making making, bool inDoubt)
    {
        if (!making.MayHaveRecord) return;
        var id = making.Container.Id;
        using var limit = new CancellationTokenSource(Options.Limits.Rollback, Time);
        var delay = FirstDelay;
        while (true)
        {
            try
            {
                // The daemon's clock is ours: an older record is not the one we asked for.
                var record = await FindRecordAsync(id, limit.Token);
                if (record is not null && Times.Read(record.CreatedAt) < making.RecordInDoubtSince) return;
                if (making.MayHaveTask) await RemoveTaskAsync(making, limit.Token);
                if (making.MayHaveSnapshot) await RemoveSnapshotAsync(id, limit.Token);
                if (!inDoubt)
                {
                    if (record is not null) await DeleteRecordAsync(new Api.Containers.Container { Id = id }, limit.Token);
                    return;
                }
                // Once more, and with the record kept until then: what is made without one is out of reach.
                (inDoubt, delay) = (false, Options.Limits.Doubt);
            }
            catch (ContainerdException e) when (!limit.IsCancellationRequested)
            {
                LogRollbackFailed(e, id);
            }
            catch (Exception e)
            {
                LogRollbackFailed(e, id);
                return;
            }
            await Task.Delay(delay, Time, CancellationToken.None);
            delay = Longer(delay);
        }
    }

    private static bool IsInDoubt(Exception error) => error is ContainerdException { IsUnavailable: true } or ContainerdException { IsTimeout: true };

    private async Task RemoveTaskAsync(Making making, CancellationToken cancellation)
    {
        var id = making.Container.Id;
        var task = await GetTaskAsync(id, cancellation);
        if (task is null)
        {
            await SettleAsync(id, making.CgroupsPath, cancellation);
            return;
        }
        // A delete of one that was not started waits in vain for the end of its streams: 2 to 10 s.
        if (task.Status != TaskStatus.Stopped && (task.Status != TaskStatus.Created || making.Streams is not null))
        {
            using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _closing.Token);
            var watch = new ContainerWatch { Id = id, CgroupsPath = making.CgroupsPath, IsPublic = false, End = end.Token };
            Begin(watch, null);
            await SignalAsync(id, Signals.Kill, all: true, paused: false, cancellation);
            await ExitWithinAsync(watch.Ended, Options.Limits.Kill, cancellation);
            await end.CancelAsync();
            await watch.Loop;
        }
        await DeleteTaskAsync(id, cancellation);
    }

    [LoggerMessage(5, LogLevel.Warning, "{Id}: what a failed create left could not be removed")]
    private partial void LogRollbackFailed(Exception error, string id);

    /// <summary>How far a create has come. What may exist is removed if it fails.</summary>
    private sealed class Making(Container container, ResolvedImage image, OciUser? user, string cgroupsPath)
    {
        public Container Container => container;

        public ResolvedImage Image => image;

        /// <summary>Null = to be looked up.</summary>
        public OciUser? User => user;

        public string UserText => ContainerdClient.UserText(container, image);

        public string CgroupsPath => cgroupsPath;

        /// <summary>Null = none, or not yet.</summary>
        public ProcessStreams? Streams { get; set; }

        public bool MayHaveRecord { get; set; }

        /// <summary>When a record was asked for, if it is not known whether it was made; null = it was.</summary>
        public DateTimeOffset? RecordInDoubtSince { get; set; }

        public bool MayHaveSnapshot { get; set; }

        public bool MayHaveTask { get; set; }
    }
}
