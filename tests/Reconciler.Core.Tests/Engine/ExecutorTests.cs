using Microsoft.Extensions.Time.Testing;
using Reconciler.Core.Engine;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;
using Reconciler.Testing.Fakes;
using static Reconciler.Testing.Fakes.Specs;

namespace Reconciler.Core.Tests.Engine;

public sealed class ExecutorTests
{
    private readonly FakeTimeProvider _time = new(Now);
    private readonly FakeNode _node;
    private readonly FakeRuntime _runtime;
    private readonly Executor _executor;

    public ExecutorTests()
    {
        _node = new FakeNode(_time);
        _runtime = new FakeRuntime(_node);
        _executor = new Executor(_runtime, new RuncGate(1), LoopMetrics.Unheard);
        _node.Registry[Image] = Digest;
    }

    private Task<Execution> RunAsync(params NodeAction[] actions) =>
        _executor.RunAsync(new Plan([.. actions], null, new Condition(false, "Test")), TestContext.Current.CancellationToken, TestContext.Current.CancellationToken);

    private static NodeAction Sample(Type kind)
    {
        var spec = Container();
        NodeAction[] samples =
        [
            new NodeAction.PullImage(Image, null, "test"), new NodeAction.CreateContainer(spec, 1, null, 0, 0, "test"),
            new NodeAction.StopContainer(Of(spec).Id, TimeSpan.Zero, null, "test"), new NodeAction.DeleteContainer(Of(spec).Id, "test"),
            new NodeAction.RecordExit(Of(spec).Id, "test"), new NodeAction.AdoptContainer(Of(spec).Id, "kubernetes", TimeSpan.Zero, "test"),
            new NodeAction.RemoveImage(Image, "test"), new NodeAction.MarkImage(Image, Now, "test"),
        ];
        return samples.Single(sample => sample.GetType() == kind);
    }

    public static TheoryData<Type> ActionKinds => [.. typeof(NodeAction).GetNestedTypes().Where(type => type.IsSubclassOf(typeof(NodeAction)))];

    [Theory]
    [MemberData(nameof(ActionKinds), DisableDiscoveryEnumeration = true)]
    public async Task Every_action_reaches_the_runtime(Type kind)
    {
        var action = Sample(kind);
        if (action is not NodeAction.CreateContainer) _node.Put(Dead(Container(), 0));
        _node.Put(Present());
        var execution = await RunAsync(action);
        Assert.IsType<Outcome.Done>(execution.Outcome);
        Assert.Equal([action], _runtime.Executed);
        Assert.Equal([action], execution.Actions);
    }

    [Theory]
    [InlineData(RuntimeErrorKind.Unavailable, typeof(Outcome.Unavailable))]
    [InlineData(RuntimeErrorKind.NotFound, typeof(Outcome.Again))]
    [InlineData(RuntimeErrorKind.Conflict, typeof(Outcome.Again))]
    [InlineData(RuntimeErrorKind.Failed, typeof(Outcome.Retry))]
    [InlineData(RuntimeErrorKind.Refused, typeof(Outcome.Stuck))]
    public async Task It_stops_at_the_first_failure_and_says_what_it_means(RuntimeErrorKind kind, Type outcome)
    {
        _node.Put(Present());
        _runtime.Fault = step => step == "create: record" ? new RuntimeException(kind, "Word", "sentence") : null;
        var execution = await RunAsync(Sample(typeof(NodeAction.PullImage)), Sample(typeof(NodeAction.CreateContainer)), Sample(typeof(NodeAction.RemoveImage)));
        Assert.IsType(outcome, execution.Outcome);
        Assert.Equal(2, execution.Actions.Count);
        Assert.IsType<NodeAction.CreateContainer>(_runtime.Executed[^1]);
        if (execution.Outcome is Outcome.Retry retry) Assert.Equal(new Condition(false, "Word", "sentence"), retry.Condition);
    }

    [Theory]
    [InlineData(typeof(NodeAction.StopContainer))]
    [InlineData(typeof(NodeAction.DeleteContainer))]
    public async Task What_went_before_us_is_removed_all_the_same(Type kind)
    {
        Assert.IsType<Outcome.Done>((await RunAsync(Sample(kind))).Outcome);
        Assert.IsType<Outcome.Again>((await RunAsync(Sample(typeof(NodeAction.RecordExit)))).Outcome);
    }

    [Fact]
    public async Task A_stale_pull_is_told()
    {
        _node.Put(Present());
        _node.RegistryAway = true;
        var execution = await RunAsync(new NodeAction.PullImage(Image, Digest, "test"), Sample(typeof(NodeAction.CreateContainer)));
        Assert.Equal(new Outcome.Done("the registry does not answer"), execution.Outcome);
    }

    [Fact]
    public async Task Superseding_ends_a_pull_and_what_follows_it()
    {
        using var lease = new CancellationTokenSource();
        _runtime.DuringPull = async token =>
        {
            await lease.CancelAsync();
            token.ThrowIfCancellationRequested();
        };
        var plan = new Plan([Sample(typeof(NodeAction.PullImage)), Sample(typeof(NodeAction.CreateContainer))], null, new Condition(false, "Test"));
        var execution = await _executor.RunAsync(plan, lease.Token, TestContext.Current.CancellationToken);
        Assert.IsType<Outcome.Again>(execution.Outcome);
        Assert.Single(_runtime.Executed);
    }

    [Fact]
    public async Task Superseding_does_not_cut_a_creation()
    {
        _node.Put(Present());
        using var lease = new CancellationTokenSource();
        _runtime.Fault = step =>
        {
            if (step == "create") lease.Cancel();
            return null;
        };
        var plan = new Plan([Sample(typeof(NodeAction.CreateContainer)), Sample(typeof(NodeAction.RemoveImage))], null, new Condition(false, "Test"));
        var execution = await _executor.RunAsync(plan, lease.Token, TestContext.Current.CancellationToken);
        Assert.IsType<Outcome.Again>(execution.Outcome);
        Assert.NotNull(_node.Running(Container().Key));
        Assert.Single(_runtime.Executed);
    }

    [Fact]
    public async Task Pulls_and_grace_hold_no_slot()
    {
        var gate = new RuncGate(1);
        var executor = new Executor(_runtime, gate, LoopMetrics.Unheard);
        _node.Put(Of(Container()));
        using (await gate.EnterAsync(false, TestContext.Current.CancellationToken))
        {
            var plan = new Plan([Sample(typeof(NodeAction.PullImage)), Sample(typeof(NodeAction.StopContainer))], null, new Condition(false, "Test"));
            var execution = await executor.RunAsync(plan, TestContext.Current.CancellationToken, TestContext.Current.CancellationToken);
            Assert.IsType<Outcome.Done>(execution.Outcome);
        }
    }
}
