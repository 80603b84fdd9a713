using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;

namespace Reconciler.Testing.Fakes;

/// <summary>The agent was killed at this step: nothing after it happens.</summary>
public sealed class AgentKilledException() : Exception("the agent was killed");

/// <summary>One agent's hold on a <see cref="FakeNode"/>: each verb goes in the steps in which the real one can be cut.</summary>
public sealed class FakeRuntime(FakeNode node) : IContainerRuntime
{
    private readonly ConcurrentQueue<NodeAction> _executed = new();
    private readonly ConcurrentQueue<string> _steps = new();
    private volatile bool _killed;
    private int _lists;
    private int _recoveries;

    /// <summary>Asked before each step: an exception to throw there, or null. <see cref="AgentKilledException"/> kills this agent for good.</summary>
    public Func<string, Exception?> Fault { get; set; } = _ => null;

    /// <summary>Awaited inside a pull, for tests that need one to be under way.</summary>
    public Func<CancellationToken, Task>? DuringPull { get; set; }

    /// <summary>Verbs begun, in order.</summary>
    public IReadOnlyList<NodeAction> Executed => [.. _executed];

    public IReadOnlyList<string> Steps => [.. _steps];

    public int Lists => Volatile.Read(ref _lists);

    public int Recoveries => Volatile.Read(ref _recoveries);

    public IReadOnlyCollection<ResourceKey>? Cleaned { get; private set; }

    public Task<NodeObservation> ListAsync(CancellationToken cancellation)
    {
        Step("list", cancellation);
        Interlocked.Increment(ref _lists);
        return Task.FromResult(node.Observation);
    }

    public Task<Actual> ObserveAsync(ResourceKey key, string? image, CancellationToken cancellation)
    {
        Step("observe", cancellation);
        return Task.FromResult(node.Observation.Find(key, image));
    }

    public Task RecoverAsync(CancellationToken cancellation)
    {
        Step("recover", cancellation);
        Interlocked.Increment(ref _recoveries);
        return Task.CompletedTask;
    }

    public async IAsyncEnumerable<RuntimeEvent> EventsAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        var events = Channel.CreateUnbounded<RuntimeEvent>();
        void Write(RuntimeEvent happened) => events.Writer.TryWrite(happened);
        node.Happened += Write;
        try
        {
            yield return new RuntimeEvent.Gap("subscribed");
            await foreach (var happened in events.Reader.ReadAllAsync(cancellation)) yield return happened;
        }
        finally
        {
            node.Happened -= Write;
        }
    }

    public async Task<PulledImage> PullImageAsync(NodeAction.PullImage action, CancellationToken cancellation)
    {
        Begin(action, "pull", cancellation);
        if (DuringPull is { } wait) await wait(cancellation);
        var present = node.GetImage(action.Reference);
        if (node.RegistryAway)
        {
            return action.PresentDigest is not null && present is not null
                ? new PulledImage(present, "the registry does not answer")
                : throw new RuntimeException(RuntimeErrorKind.Failed, "RegistryUnreachable", "the registry does not answer");
        }
        if (!node.Registry.TryGetValue(action.Reference, out var digest))
            throw new RuntimeException(RuntimeErrorKind.Failed, "ImageNotFound", $"{action.Reference} does not exist");
        var image = new ActualImage { Reference = action.Reference, Digest = digest, Managed = present?.Managed ?? true, Resolved = true };
        node.Put(image);
        Step("pull: done", cancellation);
        return new PulledImage(image, null);
    }

    public Task CreateContainerAsync(NodeAction.CreateContainer action, CancellationToken cancellation)
    {
        Begin(action, "create", cancellation);
        var spec = action.Spec;
        var digest = action.ImageDigest is { } wanted
            ? node.Images.FirstOrDefault(i => i.Digest == wanted)?.Digest
            : node.GetImage(spec.Process.Image)?.Digest;
        if (digest is null) throw new RuntimeException(RuntimeErrorKind.Conflict, "ImageNotFound", "the image went before us");
        var id = $"{spec.Namespace}-{spec.Workload}-{spec.Name}-{action.Incarnation}";
        if (node.Get(id) is not null)
        {
            node.Violate($"{spec.Key}: {id} created twice");
            throw new RuntimeException(RuntimeErrorKind.Conflict, "Changed", $"{id} exists already");
        }
        node.Put(new ActualContainer
        {
            Id = id, Key = spec.Key, SpecHash = spec.Hash, Source = spec.Source, State = ContainerState.NoTask, Incarnation = action.Incarnation,
            CreatedAt = node.Time.GetUtcNow(), Restarts = action.Restarts, Failures = action.Failures, GracePeriod = spec.GracePeriod,
            ImageReference = spec.Process.Image, ImageDigest = digest, Process = spec.Process,
        });
        try
        {
            Step("create: record", cancellation);
            node.Change(id, c => c with { State = ContainerState.Created });
            Step("create: task", cancellation);
        }
        catch (Exception e) when (e is RuntimeException or OperationCanceledException)
        {
            node.Remove(id);
            throw;
        }
        node.Start(id);
        Step("create: started", CancellationToken.None);
        return Task.CompletedTask;
    }

    public async Task StopContainerAsync(NodeAction.StopContainer action, CancellationToken cancellation)
    {
        Begin(action, "stop", cancellation);
        if (node.Get(action.Id) is not { } container) throw NotFound(action.Id);
        var by = action.Deadline ?? node.Time.GetUtcNow() + action.Grace;
        if (action.Deadline is null)
        {
            if (container.StopBy is not null) node.Violate($"{container.Key}: {action.Id} signalled twice");
            node.Change(action.Id, c => c with { StopBy = by });
            Step("stop: stop-by", CancellationToken.None); // whoever finds stop-by takes the signal for sent
            if (!node.IgnoresStop.Contains(container.Key)) node.End(action.Id, 143, "");
            Step("stop: signalled", cancellation);
        }
        while (node.Get(action.Id) is { IsLive: true } && node.Time.GetUtcNow() < by)
            await Task.Delay(by - node.Time.GetUtcNow(), node.Time, cancellation);
        node.End(action.Id, 137, "");
        Step("stop: ended", cancellation);
    }

    public Task DeleteContainerAsync(NodeAction.DeleteContainer action, CancellationToken cancellation)
    {
        Begin(action, "delete", cancellation);
        if (node.Get(action.Id) is null) throw NotFound(action.Id);
        if (node.Get(action.Id) is { IsLive: true } live) throw Runs(live, "deleted");
        Step("delete: task", cancellation);
        node.Remove(action.Id);
        Step("delete: record", cancellation);
        return Task.CompletedTask;
    }

    public Task RecordExitAsync(NodeAction.RecordExit action, CancellationToken cancellation)
    {
        Begin(action, "record", cancellation);
        if (node.Get(action.Id) is null) throw NotFound(action.Id);
        if (node.Get(action.Id) is { IsLive: true } live) throw Runs(live, "recorded as ended");
        node.Change(action.Id, c => c with
        {
            ExitRecorded = true, State = ContainerState.Exited, FinishedAt = c.FinishedAt ?? node.Time.GetUtcNow(),
            Reason = c.Reason.Length > 0 ? c.Reason : "Unknown",
        });
        Step("record: labels", cancellation);
        return Task.CompletedTask;
    }

    public Task AdoptContainerAsync(NodeAction.AdoptContainer action, CancellationToken cancellation)
    {
        Begin(action, "adopt", cancellation);
        if (node.Get(action.Id) is null) throw NotFound(action.Id);
        node.Change(action.Id, c => c with { Source = action.Source, GracePeriod = action.Grace });
        return Task.CompletedTask;
    }

    public Task RemoveImageAsync(NodeAction.RemoveImage action, CancellationToken cancellation)
    {
        Begin(action, "remove image", cancellation);
        if (node.GetImage(action.Reference) is not { } image) throw NotFound(action.Reference);
        if (!image.Managed)
        {
            node.Violate($"{action.Reference} is not ours and was to be removed");
            throw new RuntimeException(RuntimeErrorKind.Refused, "NotManaged", $"{action.Reference} was not fetched by the agent");
        }
        if (node.RegistryAway) throw new RuntimeException(RuntimeErrorKind.Failed, "RegistryUnreachable", "the registry does not answer");
        node.DeleteImage(action.Reference);
        return Task.CompletedTask;
    }

    public Task MarkImageAsync(NodeAction.MarkImage action, CancellationToken cancellation)
    {
        Begin(action, "mark image", cancellation);
        if (node.GetImage(action.Reference) is not { } image) throw NotFound(action.Reference);
        node.Put(image with { UnusedSince = action.UnusedSince, Resolved = image.Resolved && action.UnusedSince is null });
        return Task.CompletedTask;
    }

    public Task CleanWorkloadsAsync(IReadOnlyCollection<ResourceKey> declared, CancellationToken cancellation)
    {
        Step("clean", cancellation);
        Cleaned = declared;
        return Task.CompletedTask;
    }

    private void Begin(NodeAction action, string step, CancellationToken cancellation)
    {
        if (!_killed) _executed.Enqueue(action);
        Step(step, cancellation);
    }

    private void Step(string step, CancellationToken cancellation)
    {
        if (_killed) throw new AgentKilledException();
        cancellation.ThrowIfCancellationRequested();
        _steps.Enqueue(step);
        if (Fault(step) is not { } fault) return;
        if (fault is AgentKilledException) _killed = true;
        throw fault;
    }

    private RuntimeException Runs(ActualContainer live, string what)
    {
        node.Violate($"{live.Key}: {live.Id} {what} alive");
        return new RuntimeException(RuntimeErrorKind.Conflict, "Running", $"{live.Id} runs");
    }

    private static RuntimeException NotFound(string id) => new(RuntimeErrorKind.NotFound, "NotFound", $"{id} is not there");
}
