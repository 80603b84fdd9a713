using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Reconciler.Containerd;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;
using TaskStatus = Reconciler.Containerd.TaskStatus;

namespace Reconciler.Agent.Runtime;

/// <content>The verbs on containers, but stop.</content>
public sealed partial class ContainerdRuntime
{
    private static readonly TimeSpan NotesLimit = TimeSpan.FromSeconds(5);

    private readonly ConcurrentDictionary<string, Task> _notes = new(StringComparer.Ordinal);

    /// <inheritdoc/>
    public Task CreateContainerAsync(NodeAction.CreateContainer action, CancellationToken cancellation)
    {
        var spec = action.Spec;
        var id = ContainerIds.Of(spec.Namespace, spec.Workload, spec.Name, action.Incarnation);
        return GuardAsync($"create {id}", async () =>
        {
            var image = ImageFor(action);
            if (_view.Entry(id) is not null) throw new RuntimeException(RuntimeErrorKind.Conflict, "Changed", $"{id} exists already");
            var labels = Labels.Of(action, image.Digest);
            var process = SpecHash.Canonical(spec.Process);
            // Known before its first RPC: an exit right after the start, or a list meanwhile, meets it.
            _view.Put(new ContainerEntry(id, labels, _time.GetUtcNow(), new TaskInfo { Id = id, Status = TaskStatus.Created }) { Busy = true, Process = process });
            try
            {
                // The time before, not after: a short one has ended by then, and none ends before it starts.
                var began = _time.GetUtcNow();
                var pid = await StartAsync(action, id, image, labels, process, cancellation);
                NoteStart(id, pid, began);
                Metrics.Started(action, _time.GetUtcNow() - ExitBefore(spec.Key, id));
            }
            catch (Exception e)
            {
                _view.Remove(id);
                _view.Gap(); // what is left of it, if anything, only a list can tell
                if (e is ContainerdException error) throw await CreateErrorAsync(error, id, image);
                throw;
            }
            Release(id, tellExit: true);
            return true;
        }, cancellation);
    }

    /// <inheritdoc/>
    public Task DeleteContainerAsync(NodeAction.DeleteContainer action, CancellationToken cancellation) => WithAsync(action.Id, "delete", tellExit: false, async entry =>
    {
        if (entry.State is ContainerState.Running or ContainerState.Paused)
            throw new RuntimeException(RuntimeErrorKind.Conflict, "Running", $"{entry.Id} runs");
        await FinishNoteAsync(entry.Id);
        await _client.DeleteTaskAsync(entry.Id, cancellation);
        _view.Change(entry.Id, known => known with { Task = null });
        await _client.DeleteContainerAsync(entry.Id, cancellation);
        _view.Remove(entry.Id);
    }, cancellation);

    /// <inheritdoc/>
    public Task RecordExitAsync(NodeAction.RecordExit action, CancellationToken cancellation) => WithAsync(action.Id, "record the exit of", tellExit: false, async entry =>
    {
        if (entry.State is ContainerState.Running or ContainerState.Paused or ContainerState.Unknown)
            throw new RuntimeException(RuntimeErrorKind.Conflict, "Running", $"{entry.Id} has not ended");
        await FinishNoteAsync(entry.Id);
        var facts = ExitFacts(entry, _time.GetUtcNow());
        await _client.UpdateLabelsAsync(entry.Id, facts, cancellation);
        _view.Change(entry.Id, known => known.With(facts));
        await _client.DeleteTaskAsync(entry.Id, cancellation);
        _view.Change(entry.Id, known => known with { Task = null });
    }, cancellation);

    /// <inheritdoc/>
    public Task AdoptContainerAsync(NodeAction.AdoptContainer action, CancellationToken cancellation) => WithAsync(action.Id, "adopt", tellExit: true, async entry =>
    {
        var labels = new Dictionary<string, string> { [Labels.Source] = action.Source, [Labels.Grace] = Labels.Text(action.Grace) };
        await _client.UpdateLabelsAsync(entry.Id, labels, cancellation);
        _view.Change(entry.Id, known => known.With(labels));
    }, cancellation);

    private async Task<int> StartAsync(
        NodeAction.CreateContainer action, string id, ActualImage image, Dictionary<string, string> labels, byte[] process, CancellationToken cancellation)
    {
        var spec = action.Spec;
        var logs = _logs.Create(spec.Namespace, spec.Workload, spec.Name, action.Incarnation);
        return await _client.CreateContainerAsync(
            new Container
            {
                Id = id,
                Image = image.Reference,
                Spec = _specs.Build(spec, id),
                Command = [.. spec.Process.Command],
                Args = [.. spec.Process.Args],
                User = UserOf(spec.Process.Security),
                IO = ContainerIO.Files(logs.Out, logs.Err),
                Labels = labels,
                Extensions = new Dictionary<string, TypedValue> { [Labels.ProcessExtension] = new(Labels.ProcessType, process) },
            },
            cancellation);
    }

    /// <summary>Looked up in the image, which knows the groups of a user. Null = the image's own user.</summary>
    private static string? UserOf(SecuritySettings security) => (security.RunAsUser, security.RunAsGroup) switch
    {
        (null, null) => null,
        ({ } user, null) => Labels.Text(user),
        var (user, group) => $"{user}:{group}",
    };

    /// <summary>The record to start from: the recorded digest's, else what the reference points to now.</summary>
    private ActualImage ImageFor(NodeAction.CreateContainer action)
    {
        var reference = action.Spec.Process.Image;
        var image = action.ImageDigest is { } digest ? _view.ImageWith(digest, reference) : _view.Image(reference);
        return image ?? throw new RuntimeException(RuntimeErrorKind.Conflict, "ImageMissing", $"image {action.ImageDigest ?? reference} is not on the node");
    }

    private async Task<RuntimeException> CreateErrorAsync(ContainerdException error, string id, ActualImage image)
    {
        if (error.Code == ContainerdError.ImageNotfound)
            return new RuntimeException(RuntimeErrorKind.Conflict, "ImageMissing", $"image {image.Reference} is not on the node", error);
        var answer = RuntimeErrors.OfCreate(error, $"create {id}");
        if (answer.Kind is RuntimeErrorKind.Unavailable or RuntimeErrorKind.Refused) return answer;
        try
        {
            if (await _client.IsUnpackedAsync(image.Reference)) return answer;
        }
        catch (ContainerdException)
        {
            return answer;
        }
        _view.MarkPacked(image.Digest);
        return new RuntimeException(RuntimeErrorKind.Conflict, "ImageMissing", $"image {image.Reference} is not unpacked", error);
    }

    /// <summary>The time of the start goes into the labels behind the caller's back: nothing waits for it but the next change of the record.</summary>
    private void NoteStart(string id, int pid, DateTimeOffset began)
    {
        var labels = new Dictionary<string, string> { [Labels.StartedAt] = Labels.Text(began) };
        _view.Change(id, entry => (entry.Task is { Status: TaskStatus.Created }
            ? entry with { Task = entry.Task with { Status = TaskStatus.Running, Pid = pid } }
            : entry).With(labels));
        _notes[id] = WriteAsync();

        async Task WriteAsync()
        {
            try
            {
                await _client.UpdateLabelsAsync(id, labels);
            }
            catch (Exception e) when (e is ContainerdException or ObjectDisposedException or OperationCanceledException)
            {
                LogNotNoted(id, e.Message); // the record's creation time serves as well
            }
            finally
            {
                _notes.TryRemove(id, out _);
            }
        }
    }

    /// <summary>When the newest other container of the key ended; null = not known.</summary>
    private DateTimeOffset? ExitBefore(ResourceKey key, string id) =>
        _view.Entries(entry => entry.Key == key && entry.Id != id).Select(entry => entry.ToActual(explained: false).FinishedAt).Max();

    private Task FinishNoteAsync(string id) => _notes.TryGetValue(id, out var note) ? note : Task.CompletedTask;

    private async Task FinishNotesAsync()
    {
        try
        {
            await Task.WhenAll(_notes.Values).WaitAsync(NotesLimit, _time);
        }
        catch (TimeoutException)
        {
        }
    }

    private static Dictionary<string, string> ExitFacts(ContainerEntry entry, DateTimeOffset now)
    {
        var code = entry.Task?.ExitCode;
        var facts = new Dictionary<string, string>
        {
            [Labels.FinishedAt] = Labels.Text(entry.Task?.ExitedAt ?? now),
            [Labels.Reason] = entry.EndReason(code),
        };
        if (code is { } known) facts[Labels.ExitCode] = Labels.Text(known);
        if (!entry.Labels.ContainsKey(Labels.StartedAt)) facts[Labels.StartedAt] = Labels.Text(entry.CreatedAt);
        return facts;
    }

    /// <summary>Runs a verb on a known container; meanwhile no list overrules what is noted of it.</summary>
    /// <param name="tellExit">An exit during the verb is news even when the verb succeeds.</param>
    private Task WithAsync(string id, string verb, bool tellExit, Func<ContainerEntry, Task> act, CancellationToken cancellation) => GuardAsync($"{verb} {id}", async () =>
    {
        var entry = _view.Change(id, known => known with { Busy = true })
            ?? throw new RuntimeException(RuntimeErrorKind.NotFound, "NotFound", $"{id} is gone");
        var done = false;
        try
        {
            await act(entry);
            done = true;
        }
        catch (ContainerdException e) when (e.IsNotfound)
        {
            _view.Change(id, known => known with { Dirty = true });
            throw;
        }
        finally
        {
            Release(id, tellExit || !done);
        }
        return true;
    }, cancellation);

    private void Release(string id, bool tellExit)
    {
        var untold = _view.Entry(id) is { ExitUntold: true };
        var entry = _view.Change(id, known => known with { Busy = false, ExitUntold = false });
        if (entry is not null && untold && tellExit) _events.Writer.TryWrite(new RuntimeEvent.Changed(entry.Key, Exit: true));
    }

    [LoggerMessage(6, LogLevel.Debug, "{Id}: its start could not be noted: {Why}")]
    private partial void LogNotNoted(string id, string why);
}
