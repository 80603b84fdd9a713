using Microsoft.Extensions.Logging;
using Reconciler.Containerd;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;

namespace Reconciler.Agent.Runtime;

/// <content>How a container is stopped.</content>
public sealed partial class ContainerdRuntime
{
    private const int Sigkill = 9;

    /// <summary>What a killed process may take to be gone.</summary>
    private static readonly TimeSpan KillLimit = TimeSpan.FromSeconds(60);

    private static readonly TimeSpan LongestWait = TimeSpan.FromDays(20);

    /// <inheritdoc/>
    public Task StopContainerAsync(NodeAction.StopContainer action, CancellationToken cancellation) => WithAsync(action.Id, "stop", tellExit: false, async entry =>
    {
        var stopBy = action.Deadline ?? await AnnounceStopAsync(entry, action.Grace, cancellation);
        if (await EndsWithinAsync(entry.Id, stopBy - _time.GetUtcNow(), cancellation)) return;
        LogKill(entry.Id);
        await KillAsync(entry.Id, Sigkill, all: true, cancellation);
        if (await EndsWithinAsync(entry.Id, KillLimit, cancellation)) return;
        throw new RuntimeException(RuntimeErrorKind.Failed, FailureReason.StopFailed, $"{entry.Id} runs on after SIGKILL");
    }, cancellation);

    /// <summary>stop-by is in the labels before the signal is sent: whoever comes after us keeps to it.</summary>
    private async Task<DateTimeOffset> AnnounceStopAsync(ContainerEntry entry, TimeSpan grace, CancellationToken cancellation)
    {
        await FinishNoteAsync(entry.Id);
        var stopBy = _time.GetUtcNow() + grace;
        var labels = new Dictionary<string, string> { [Labels.StopBy] = Labels.Text(stopBy) };
        await _client.UpdateLabelsAsync(entry.Id, labels, cancellation);
        _view.Change(entry.Id, known => known.With(labels));
        var signal = StopSignals.Parse(Labels.String(entry.Labels, Labels.StopSignal));
        // Not to be cut off any more: whoever finds stop-by takes the signal for sent.
        if (grace > TimeSpan.Zero) await KillAsync(entry.Id, signal, all: false, CancellationToken.None);
        return stopBy;
    }

    private async Task KillAsync(string id, int signal, bool all, CancellationToken cancellation)
    {
        try
        {
            await _client.KillAsync(id, signal, all, cancellation);
            // A frozen process gets it only once it goes on.
            if (_view.Entry(id) is { State: ContainerState.Paused }) await _client.ResumeAsync(id, cancellation);
        }
        catch (ContainerdException e) when (e.IsNotfound)
        {
            // no task: whether anything of it still runs, EndsWithinAsync finds out
        }
    }

    /// <summary>Waits for the end of everything of a container.</summary>
    /// <returns>False = it runs on.</returns>
    private async Task<bool> EndsWithinAsync(string id, TimeSpan limit, CancellationToken cancellation)
    {
        if (_view.Entry(id) is { State: ContainerState.Exited or ContainerState.NoTask }) return true;
        var message = await _client.ProbeContainerAsync(id, Bounded(limit), cancellation);
        if (message.Error is { IsNotfound: true }) message = await WatchAgainAsync(id, limit, cancellation);
        if (message is null)
        {
            // Nobody has a task of that name: the library waits until its cgroup is empty, and empties it in the end.
            await _client.DeleteTaskAsync(id, cancellation);
            NoteExit(id, null, _time.GetUtcNow(), tell: false);
            return true;
        }
        if (message.Error is not null) return false;
        NoteExit(id, message.ExitCode, message.ExitTime, tell: false);
        return true;
    }

    /// <summary>Timers take no more than some weeks, and zero would wait for ever.</summary>
    private static TimeSpan Bounded(TimeSpan limit) => limit < Glance ? Glance : limit > LongestWait ? LongestWait : limit;

    private async Task<ExitMessage?> WatchAgainAsync(string id, TimeSpan limit, CancellationToken cancellation)
    {
        try
        {
            await _client.RecoverContainerAsync(id, null, cancellation);
            return await _client.ProbeContainerAsync(id, Bounded(limit), cancellation);
        }
        catch (ContainerdException e) when (e.IsNotfound)
        {
            return null;
        }
    }

    [LoggerMessage(5, LogLevel.Information, "{Id} did not end in its grace period: SIGKILL")]
    private partial void LogKill(string id);
}
