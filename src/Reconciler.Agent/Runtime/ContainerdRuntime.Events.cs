using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using Reconciler.Containerd;
using Reconciler.Core.Model;
using Reconciler.Core.Ports;
using TaskStatus = Reconciler.Containerd.TaskStatus;

namespace Reconciler.Agent.Runtime;

/// <content>Exits and drift, as hooks and containerd's events tell them.</content>
public sealed partial class ContainerdRuntime
{
    private static readonly TimeSpan HostFilesPeriod = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan SubscribePause = TimeSpan.FromSeconds(1);

    /// <inheritdoc/>
    public async IAsyncEnumerable<RuntimeEvent> EventsAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var work = Task.WhenAll(PumpAsync(end.Token), FollowHostFilesAsync(end.Token));
        try
        {
            await foreach (var told in _events.Reader.ReadAllAsync(cancellation)) yield return told;
        }
        finally
        {
            await end.CancelAsync();
            await work.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task PumpAsync(CancellationToken cancellation)
    {
        var filters = new[]
        {
            $"namespace=={_client.Options.Namespace},topic~=\"^/tasks/(exit|oom|delete)$\"",
            $"namespace=={_client.Options.Namespace},topic~=\"^/containers/(create|delete)$\"",
            // Of updates, most of which are our own, only those that ask for something.
            $"namespace=={_client.Options.Namespace},topic==\"/containers/update\",event.labels.\"{Labels.RestartWanted}\"",
            $"namespace=={_client.Options.Namespace},topic~=\"^/images/\"",
        };
        while (!cancellation.IsCancellationRequested)
        {
            try
            {
                await foreach (var told in _client.EventsAsync(filters, cancellation)) await HandleAsync(told, cancellation);
            }
            catch (Exception e) when (e is ContainerdException or IOException or UnauthorizedAccessException)
            {
                Lost(e.Message);
                await Task.Delay(SubscribePause, _time, cancellation);
            }
        }
    }

    private void Lost(string reason)
    {
        LogGap(reason);
        _view.Gap();
        _events.Writer.TryWrite(new RuntimeEvent.Gap(reason));
    }

    private async Task HandleAsync(ContainerdEvent told, CancellationToken cancellation)
    {
        switch (told)
        {
            case ContainerdEvent.Gap gap:
                Lost(gap.Reason);
                break;
            case ContainerdEvent.TaskExit exit when exit.ProcessId == exit.ContainerId || exit.ProcessId.Length == 0:
                NoteExit(exit.ContainerId, exit.ExitCode, exit.ExitedAt, tell: true);
                break;
            case ContainerdEvent.TaskOom oom:
                _view.Change(oom.ContainerId, entry => entry with { Oom = true });
                break;
            case ContainerdEvent.TaskDelete deleted:
                Suspect(deleted.ContainerId, entry => entry.Task is not null);
                break;
            case ContainerdEvent.ContainerChanged { Kind: "deleted" or "delete" } deleted:
                Suspect(deleted.Id, _ => true);
                break;
            case ContainerdEvent.ContainerChanged { Kind: "updated" or "update" } updated:
                Suspect(updated.Id, _ => true);
                break;
            case ContainerdEvent.ContainerChanged changed when _view.Entry(changed.Id) is null:
                await ReadAsync(changed.Id, cancellation);
                Suspect(changed.Id, _ => true);
                break;
            case ContainerdEvent.ImageChanged image:
                await RenewImageAsync(image.Name, cancellation);
                break;
        }
    }

    /// <summary>Someone else changed it: it is read before the next answer. What a verb of ours does right now is no news.</summary>
    private void Suspect(string id, Func<ContainerEntry, bool> concerns)
    {
        if (_view.Entry(id) is not { Busy: false } entry || !concerns(entry)) return;
        _view.Change(id, known => known with { Dirty = true });
        _events.Writer.TryWrite(new RuntimeEvent.Changed(entry.Key, Exit: false));
    }

    private async Task RenewImageAsync(string name, CancellationToken cancellation)
    {
        var before = _view.Image(name);
        var now = await _client.GetImageAsync(name, cancellation);
        if (now is null) _view.RemoveImage(name);
        else _view.PutImage(ToActual(now), unpacked: false);
        if (before == _view.Image(name)) return;
        _events.Writer.TryWrite(new RuntimeEvent.Changed(ResourceKey.Image(name), Exit: false));
    }

    private Task OnStoppedAsync(string id, ExitMessage message, CancellationToken cancellation)
    {
        NoteExit(id, message.ExitCode, message.ExitTime, tell: true);
        return Task.CompletedTask;
    }

    /// <summary>Notes an exit once, whoever tells it first.</summary>
    private void NoteExit(string id, int? code, DateTimeOffset at, bool tell)
    {
        ContainerEntry? news = null;
        _view.Change(id, entry =>
        {
            if (entry.Task is null or { Status: TaskStatus.Stopped }) return entry;
            var ended = entry.Task with { Status = TaskStatus.Stopped, ExitCode = code, ExitedAt = at > DateTimeOffset.UnixEpoch ? at : _time.GetUtcNow() };
            return news = entry with { Task = ended, ExitUntold = entry.Busy };
        });
        if (news is { Busy: false } && tell) _events.Writer.TryWrite(new RuntimeEvent.Changed(news.Key, Exit: true));
    }

    private async Task FollowHostFilesAsync(CancellationToken cancellation)
    {
        using var timer = new PeriodicTimer(HostFilesPeriod, _time);
        do
        {
            try
            {
                _network.Follow();
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                LogNotFollowed(e.Message);
            }
        }
        while (await timer.WaitForNextTickAsync(cancellation));
    }

    [LoggerMessage(3, LogLevel.Debug, "events may have been lost ({Reason}): listing")]
    private partial void LogGap(string reason);

    [LoggerMessage(4, LogLevel.Warning, "resolv.conf of the host could not be followed: {Why}")]
    private partial void LogNotFollowed(string why);
}
