using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.Runtime;

/// <summary>What the loop relies on, of the real runtime and of the one that the loop's own tests use.</summary>
public abstract class ConformanceTests
{
    private const long First = 1700000000;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_created_container_is_observed_and_listed_as_it_was_asked_for()
    {
        await using var world = await OpenAsync();
        var spec = world.Spec() with { GracePeriod = TimeSpan.FromSeconds(45) };
        Assert.Empty((await ObserveAsync(world, spec)).Containers);

        await CreateAsync(world, spec, restarts: 4, failures: 2);

        var actual = await ObserveAsync(world, spec);
        var running = Assert.Single(actual.Containers);
        Assert.Equal((spec.Key, spec.Hash, spec.Source, ContainerState.Running), (running.Key, running.SpecHash, running.Source, running.State));
        Assert.Equal((First, 4, 2, spec.GracePeriod), (running.Incarnation, running.Restarts, running.Failures, running.GracePeriod));
        Assert.Equal((world.Image, actual.Image!.Digest, true), (running.ImageReference, running.ImageDigest, running.ImagePresent));
        Assert.Equal((true, false, null, null), (running.IsLive, running.ExitRecorded, running.ExitCode, running.StopBy));
        Assert.NotNull(running.StartedAt);
        Assert.True(running.Pid > 0);
        var listed = (await world.Runtime.ListAsync(Cancellation)).Find(spec.Key, world.Image);
        Assert.Equal((running.Id, ContainerState.Running), (Assert.Single(listed.Containers).Id, listed.Containers[0].State));
        Assert.Contains(spec.Key, listed.Image!.UsedBy);
        await RemoveAsync(world, spec);
    }

    [Fact]
    public async Task A_create_without_its_image_or_of_what_is_there_already_is_a_conflict_and_changes_nothing()
    {
        await using var world = await OpenAsync();
        var spec = world.Spec();
        var other = spec with { Process = spec.Process with { Image = "registry.test/none:1" } };
        await FailsAsync(RuntimeErrorKind.Conflict, () => CreateAsync(world, other));
        Assert.Empty((await ObserveAsync(world, spec)).Containers);

        var running = await CreateAsync(world, spec);
        await FailsAsync(RuntimeErrorKind.Conflict, () => CreateAsync(world, spec));

        Assert.Equal((running.Id, running.Pid), (Assert.Single((await ObserveAsync(world, spec)).Containers).Id, running.Pid));
        await RemoveAsync(world, spec);
    }

    [Theory]
    [InlineData(0, "Completed")]
    [InlineData(7, "Error")]
    public async Task An_exit_is_told_then_recorded_and_the_record_stays(int code, string reason)
    {
        await using var world = await OpenAsync();
        var spec = world.Spec();
        var running = await CreateAsync(world, spec);

        await world.EndAsync(running, code);
        await Eventually.UntilAsync(() => world.Events.Any(told => told is RuntimeEvent.Changed { Exit: true } exit && exit.Key == spec.Key), "the exit is told");
        var ended = Assert.Single((await ObserveAsync(world, spec)).Containers);
        Assert.Equal((ContainerState.Exited, code, reason, false, false), (ended.State, ended.ExitCode, ended.Reason, ended.ExitRecorded, ended.IsLive));
        Assert.NotNull(ended.FinishedAt);

        await world.Runtime.RecordExitAsync(new NodeAction.RecordExit(ended.Id, "test"), Cancellation);
        var recorded = Assert.Single((await ObserveAsync(world, spec)).Containers);
        Assert.Equal((ContainerState.Exited, code, reason, true), (recorded.State, recorded.ExitCode, recorded.Reason, recorded.ExitRecorded));
        await RemoveAsync(world, spec);
    }

    [Fact]
    public async Task A_stop_returns_when_it_ended_and_leaves_the_exit_to_be_recorded()
    {
        await using var world = await OpenAsync();
        var spec = world.Spec();
        var running = await CreateAsync(world, spec);

        await world.Runtime.StopContainerAsync(new NodeAction.StopContainer(running.Id, TimeSpan.FromSeconds(1), null, "test"), Cancellation);

        var ended = Assert.Single((await ObserveAsync(world, spec)).Containers);
        Assert.Equal((ContainerState.Exited, false, false), (ended.State, ended.IsLive, ended.ExitRecorded));
        Assert.Contains(ended.ExitCode, new int?[] { 143, 137 }); // its trap may not have been set yet
        Assert.NotNull(ended.StopBy);
        await DeleteAsync(world, ended);
        Assert.Empty((await ObserveAsync(world, spec)).Containers);
    }

    [Fact]
    public async Task What_runs_is_neither_deleted_nor_recorded_as_ended()
    {
        await using var world = await OpenAsync();
        var spec = world.Spec();
        var running = await CreateAsync(world, spec);

        await FailsAsync(RuntimeErrorKind.Conflict, () => DeleteAsync(world, running));
        await FailsAsync(RuntimeErrorKind.Conflict, () => world.Runtime.RecordExitAsync(new NodeAction.RecordExit(running.Id, "test"), Cancellation));

        Assert.Equal((ContainerState.Running, running.Pid), (Assert.Single((await ObserveAsync(world, spec)).Containers).State, running.Pid));
        await RemoveAsync(world, spec);
    }

    [Fact]
    public async Task What_is_gone_is_not_found()
    {
        await using var world = await OpenAsync();
        var spec = world.Spec();
        var gone = await CreateAsync(world, spec);
        await RemoveAsync(world, spec);

        await FailsAsync(RuntimeErrorKind.NotFound, () => DeleteAsync(world, gone));
        await FailsAsync(RuntimeErrorKind.NotFound, () => world.Runtime.StopContainerAsync(new NodeAction.StopContainer(gone.Id, TimeSpan.Zero, null, "test"), Cancellation));
        await FailsAsync(RuntimeErrorKind.NotFound, () => world.Runtime.RecordExitAsync(new NodeAction.RecordExit(gone.Id, "test"), Cancellation));
        await FailsAsync(RuntimeErrorKind.NotFound, () => world.Runtime.AdoptContainerAsync(new NodeAction.AdoptContainer(gone.Id, "kubernetes", TimeSpan.Zero, "test"), Cancellation));
        await FailsAsync(RuntimeErrorKind.NotFound, () => world.Runtime.RemoveImageAsync(new NodeAction.RemoveImage("registry.test/none:1", "test"), Cancellation));
        await FailsAsync(RuntimeErrorKind.NotFound, () => world.Runtime.MarkImageAsync(new NodeAction.MarkImage("registry.test/none:1", null, "test"), Cancellation));
    }

    [Fact]
    public async Task Adopting_changes_source_and_grace_and_nothing_that_runs()
    {
        await using var world = await OpenAsync();
        var spec = world.Spec();
        var before = await CreateAsync(world, spec);

        await world.Runtime.AdoptContainerAsync(new NodeAction.AdoptContainer(before.Id, "kubernetes", TimeSpan.FromSeconds(7), "test"), Cancellation);

        var after = Assert.Single((await ObserveAsync(world, spec)).Containers);
        Assert.Equal(("kubernetes", TimeSpan.FromSeconds(7)), (after.Source, after.GracePeriod));
        Assert.Equal((before.Id, before.Pid, before.SpecHash, ContainerState.Running), (after.Id, after.Pid, after.SpecHash, after.State));
        await RemoveAsync(world, spec);
    }

    [Fact]
    public async Task A_pulled_image_is_ours_is_marked_and_stays_while_its_registry_is_away()
    {
        await using var world = await OpenAsync();
        var missing = await FailsAsync(RuntimeErrorKind.Failed, () => PullAsync(world, world.Remote + "-none"));
        Assert.Equal("ImageNotFound", missing.Reason);

        var pulled = await PullAsync(world, world.Remote);
        Assert.Equal((world.Remote, true, true, null, null), (pulled.Image.Reference, pulled.Image.Managed, pulled.Image.Resolved, pulled.Image.UnusedSince, pulled.Stale));
        var since = new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);
        await world.Runtime.MarkImageAsync(new NodeAction.MarkImage(world.Remote, since, "test"), Cancellation);
        var marked = await ImageAsync(world, world.Remote);
        Assert.Equal((since, false), (marked!.UnusedSince, marked.Resolved));

        await world.SetRegistryAsync(away: true);
        Assert.Equal("RegistryUnreachable", (await FailsAsync(RuntimeErrorKind.Failed, () => PullAsync(world, world.Remote))).Reason);
        var stale = await PullAsync(world, world.Remote, marked.Digest);
        Assert.Equal((marked.Digest, true), (stale.Image.Digest, stale.Stale is not null));
        Assert.Equal("RegistryUnreachable", (await FailsAsync(RuntimeErrorKind.Failed, () => RemoveImageAsync(world, world.Remote))).Reason);
        Assert.NotNull(await ImageAsync(world, world.Remote));

        await world.SetRegistryAsync(away: false);
        await PullAsync(world, world.Remote);
        var renewed = await ImageAsync(world, world.Remote);
        Assert.Equal((null, true), (renewed!.UnusedSince, renewed.Resolved));
        await RemoveImageAsync(world, world.Remote);
        Assert.Null(await ImageAsync(world, world.Remote));
        await FailsAsync(RuntimeErrorKind.Refused, () => RemoveImageAsync(world, world.Image));
        Assert.NotNull(await ImageAsync(world, world.Image));
    }

    [Fact]
    public async Task Events_begin_with_a_gap_and_a_cancelled_verb_does_nothing()
    {
        await using var world = await OpenAsync();
        await Eventually.UntilAsync(() => world.Events.Count > 0, "events are subscribed to");
        Assert.IsType<RuntimeEvent.Gap>(world.Events.First());
        var spec = world.Spec();
        var cancelled = new CancellationToken(canceled: true);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => world.Runtime.CreateContainerAsync(new NodeAction.CreateContainer(spec, First, null, 0, 0, "test"), cancelled));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => world.Runtime.ListAsync(cancelled));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => world.Runtime.PullImageAsync(new NodeAction.PullImage(world.Remote, null, "test"), cancelled));

        Assert.Empty((await ObserveAsync(world, spec)).Containers);
        Assert.Null(await ImageAsync(world, world.Remote));
    }

    internal abstract Task<ConformanceWorld> OpenAsync();

    private static Task<Actual> ObserveAsync(ConformanceWorld world, ContainerSpec spec) => world.Runtime.ObserveAsync(spec.Key, spec.Process.Image, Cancellation);

    private static async Task<ActualContainer> CreateAsync(ConformanceWorld world, ContainerSpec spec, int restarts = 0, int failures = 0)
    {
        await world.Runtime.CreateContainerAsync(new NodeAction.CreateContainer(spec, First, null, restarts, failures, "test"), Cancellation);
        return Assert.Single((await ObserveAsync(world, spec)).Containers);
    }

    private static Task DeleteAsync(ConformanceWorld world, ActualContainer container) =>
        world.Runtime.DeleteContainerAsync(new NodeAction.DeleteContainer(container.Id, "test"), Cancellation);

    private static async Task RemoveAsync(ConformanceWorld world, ContainerSpec spec)
    {
        foreach (var container in (await ObserveAsync(world, spec)).Containers)
        {
            if (container.IsLive) await world.Runtime.StopContainerAsync(new NodeAction.StopContainer(container.Id, TimeSpan.Zero, null, "test"), Cancellation);
            await DeleteAsync(world, container);
        }
    }

    private static Task<PulledImage> PullAsync(ConformanceWorld world, string reference, string? present = null) =>
        world.Runtime.PullImageAsync(new NodeAction.PullImage(reference, present, "test"), Cancellation);

    private static Task RemoveImageAsync(ConformanceWorld world, string reference) =>
        world.Runtime.RemoveImageAsync(new NodeAction.RemoveImage(reference, "test"), Cancellation);

    private static async Task<ActualImage?> ImageAsync(ConformanceWorld world, string reference) =>
        (await world.Runtime.ListAsync(Cancellation)).Find(ResourceKey.Image(reference), null).Image;

    private static async Task<RuntimeException> FailsAsync(RuntimeErrorKind kind, Func<Task> verb)
    {
        var error = await Assert.ThrowsAsync<RuntimeException>(verb);
        Assert.Equal(kind, error.Kind);
        return error;
    }
}

/// <summary>The runtime of the loop's own tests.</summary>
public sealed class FakeConformanceTests : ConformanceTests
{
    internal override Task<ConformanceWorld> OpenAsync() => Task.FromResult<ConformanceWorld>(new FakeWorld());
}

/// <summary>The real one.</summary>
[Collection(nameof(SharedDaemon))]
public sealed class ContainerdConformanceTests(SharedDaemon shared) : ConformanceTests
{
    internal override async Task<ConformanceWorld> OpenAsync() => await ContainerdWorld.StartAsync(shared);
}
