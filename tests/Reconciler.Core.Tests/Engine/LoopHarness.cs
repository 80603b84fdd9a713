using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Reconciler.Core.Engine;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;
using Reconciler.Testing;
using Reconciler.Testing.Fakes;
using static Reconciler.Testing.Fakes.Specs;

namespace Reconciler.Core.Tests.Engine;

/// <summary>The real loop on a fake node. Virtual time stands still unless a test moves it.</summary>
internal sealed class LoopHarness : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private ReconcileLoop? _loop;
    private Task _run = Task.CompletedTask;

    public LoopHarness(FakeNode? node = null, FakeTimeProvider? time = null)
    {
        Time = time ?? new FakeTimeProvider(Now);
        Node = node ?? new FakeNode(Time);
        Node.Registry[Image] = Digest;
        Runtime = new FakeRuntime(Node);
    }

    public FakeTimeProvider Time { get; }

    public FakeNode Node { get; }

    public FakeRuntime Runtime { get; }

    public FakeSink Sink { get; } = new();

    public FakeSource Source { get; } = new(Folder);

    public Task Run => _run;

    public LoopHarness Start(params IDesiredSource[] others)
    {
        _loop = new ReconcileLoop(Runtime, Sink, Time, new ReconcileOptions { Jitter = () => 0 }, NullLogger<ReconcileLoop>.Instance);
        _run = _loop.RunAsync([Source, .. others], _stop.Token);
        return this;
    }

    public Task StopAsync() => _stop.CancelAsync();

    /// <summary>Waits in real time; virtual time moves by <paramref name="step"/> between two looks.</summary>
    public Task UntilAsync(Func<bool> condition, string what, TimeSpan step = default) => Eventually.UntilAsync(
        () =>
        {
            if (_run.IsFaulted) _run.GetAwaiter().GetResult();
            if (condition()) return true;
            if (step > TimeSpan.Zero) Time.Advance(step);
            return false;
        }, what);

    /// <summary>Waits for a report that matches and moves virtual time to the next try it names.</summary>
    public async Task PassWaitAsync(ResourceKey key, Func<StatusReport, bool> condition, string what)
    {
        // A report comes before its pass lets go of the key: time that moved between the two would put the next try off by as much.
        await UntilAsync(() => Sink.Latest(key) is { NextTry: not null } report && condition(report) && _loop!.Queued.Taken == 0, what);
        var wait = Sink.Latest(key)!.NextTry!.Value - Time.GetUtcNow();
        if (wait > TimeSpan.Zero) Time.Advance(wait);
    }

    public Task UntilReasonAsync(ResourceKey key, string reason, TimeSpan step = default) =>
        UntilAsync(() => Sink.Latest(key)?.Condition.Reason == reason, $"{key} to be {reason}", step);

    public Task UntilRunningAsync(ContainerSpec spec, TimeSpan step = default) => UntilAsync(
        () => Node.Running(spec.Key)?.SpecHash == spec.Hash && Sink.Latest(spec.Key)?.Condition.Reason is ConditionReason.Running or ConditionReason.ImageStale,
        $"{spec.Key} to run", step);

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _run.WaitAsync(Eventually.DefaultLimit);
        _loop?.Dispose();
        _stop.Dispose();
    }
}
