using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using Reconciler.Agent.State;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;
using Reconciler.Testing;
using Reconciler.Testing.Fakes;

namespace Reconciler.Agent.Tests.State;

public sealed class StateSinkTests : IDisposable
{
    private static readonly ResourceKey Key = ResourceKey.Container("default", "web", "server");
    private static readonly DateTimeOffset Noon = new(2026, 1, 2, 12, 0, 0, TimeSpan.Zero);

    private readonly TempFolder _folder = new();
    private readonly LinesLogger _log = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task The_newest_report_is_on_disk_after_the_end_and_recalled_by_the_next_agent()
    {
        await using (var sink = Open())
        {
            sink.Report(Report(new Condition(false, "Pulling", "first")));
            sink.Report(Report(new Condition(false, "ImageNotFound", "no such tag"), attempt: 2, next: Noon.AddSeconds(4), actions: new NodeAction.PullImage("reg/app:1", null, "declared")));
        }

        var state = Read();
        var key = Assert.Single(state.Keys);
        Assert.Equal(("ImageNotFound", "no such tag", 2, "reg/app:1"), (key.Reason, key.Message, key.Attempt, key.Image));
        Assert.Equal("Stopped", state.Agent!.Phase);
        await using var next = Open();
        Assert.Equal(new KeyMemory(2, Noon.AddSeconds(4), "v1-h", new Condition(false, "ImageNotFound", "no such tag")), next.Recall(Key));
        Assert.Null(next.Recall(ResourceKey.Image("other")));
    }

    [Fact]
    public async Task A_container_is_left_from_when_something_is_begun_for_it_until_it_is_forgotten()
    {
        await using var sink = Open();
        var spec = Specs.Container();
        PlannedKey Found(Actual actual) => new(spec.Key, new Wish.Declared(spec), actual, Planner.Plan(spec.Key, new Wish.Declared(spec), actual, Noon));
        sink.Begin(Found(Specs.With(Specs.Of(spec))));
        Assert.Empty(sink.Left("default", "web")); // nothing is to be done

        sink.Begin(Found(Actual.Nothing));
        Assert.Equal([spec.Key], sink.Left("default", "web"));
        Assert.Empty(sink.Left("default", "we"));
        Assert.Empty(sink.Left("other", "web"));
        sink.Report(Report(new Condition(true, "Running")) with { Key = spec.Key });
        Assert.Equal([spec.Key], sink.Left("default", "web"));
        sink.Forget(spec.Key);
        Assert.Empty(sink.Left("default", "web"));

        sink.Begin(Found(Actual.Nothing));
        sink.Forget(spec.Key);
        Assert.Empty(sink.Left("default", "web"));
    }

    [Fact]
    public async Task Reports_reach_the_disk_while_it_runs()
    {
        await using var sink = Open(TimeProvider.System);

        sink.Report(Report(new Condition(true, "Running")));

        await Eventually.UntilAsync(() => Read().Keys is [{ Reason: "Running" }], "state.json has it");
    }

    [Fact]
    public async Task What_repeats_what_is_known_is_not_written_again()
    {
        var time = new FakeTimeProvider(Noon);
        await using var sink = Open(time);
        sink.Report(Report(new Condition(true, "Running")));
        await AdvanceUntilAsync(time, () => File.Exists(_folder["state.json"]) && Read().Keys.Count == 1);
        File.WriteAllText(_folder["state.json"], "marker");
        File.SetLastWriteTimeUtc(_folder["state.json"], Noon.UtcDateTime);

        for (var i = 0; i < 100; i++) sink.Report(Report(new Condition(true, "Running")));
        var before = File.GetLastWriteTimeUtc(_folder["state.json"]);
        await AdvanceUntilAsync(time, () => File.GetLastWriteTimeUtc(_folder["state.json"]) > before); // the heartbeat only touches it

        Assert.Equal("marker", File.ReadAllText(_folder["state.json"]));
    }

    [Fact]
    public async Task A_forgotten_key_is_gone()
    {
        await using (var sink = Open())
        {
            sink.Report(Report(new Condition(true, "Running")));
            Assert.Equal([Key], sink.Known);
            sink.Forget(Key);
            Assert.Empty(sink.Known);
            Assert.Null(sink.Recall(Key));
        }

        Assert.Empty(Read().Keys);
    }

    [Fact]
    public async Task A_damaged_file_is_set_aside_and_told()
    {
        File.WriteAllText(_folder["state.json"], "not ours");

        await using (Open())
        {
        }

        Assert.Equal("not ours", File.ReadAllText(_folder["state.json.broken"]));
        Assert.Empty(Read().Keys);
        Assert.Contains(_log.Lines, line => line.StartsWith("Warning", StringComparison.Ordinal) && line.Contains("state.json.broken", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_file_that_cannot_be_written_is_told_and_written_later()
    {
        Directory.CreateDirectory(_folder["state.json.tmp/in the way"]); // File.Delete of a folder fails
        await using (var sink = Open(TimeProvider.System))
        {
            sink.Report(Report(new Condition(true, "Running")));
            await Eventually.UntilAsync(() => _log.Lines.Any(line => line.Contains("could not be written", StringComparison.Ordinal)), "it is told");
            Directory.Delete(_folder["state.json.tmp"], recursive: true);
        }

        Assert.Single(Read().Keys);
    }

    [Fact]
    public async Task Each_action_is_one_line_with_key_and_reason_and_the_failed_one_says_so()
    {
        await using var sink = Open();
        var spec = new ContainerSpec
        {
            Key = Key, Source = "file:a", Namespace = "default", Workload = "web", Name = "server", Hash = "h",
            Process = new ContainerProcess { Image = "reg/app:1", Env = [new EnvVar("TOKEN", "secret-value")] },
        };

        sink.Report(Report(new Condition(false, "Creating", "it is not there"), actions: new NodeAction.CreateContainer(spec, 1, null, 0, 0, "it is not there")));
        sink.Report(Report(new Condition(false, "CrashLoopBackOff", "exit code 1"), next: Noon.AddSeconds(1), actions: new NodeAction.RecordExit("c1", "Error")));
        sink.Report(Report(new Condition(false, "StartFailed", "no such file: /bin/x"), 1, Noon.AddSeconds(1), new NodeAction.CreateContainer(spec, 2, null, 0, 0, "again")));

        Assert.Equal(
            [
                "Information default/web/server: create container with image reg/app:1 (it is not there)",
                "Information default/web/server: record exit of c1 (Error)",
                "Warning default/web/server: could not create container with image reg/app:1 (again)",
                "Warning default/web/server: StartFailed: no such file: /bin/x; attempt 1, again in 1 s",
            ],
            _log.Lines);
        Assert.DoesNotContain(_log.Lines, line => line.Contains("secret", StringComparison.Ordinal));
    }

    [Fact]
    public void Events_are_counted_when_they_repeat_and_bounded()
    {
        KeyState? state = null;
        for (var i = 0; i < 5; i++) state = KeyHistory.Merge(state, Report(new Condition(false, "StartFailed", $"container {i}"), i + 1, Noon));
        Assert.Equal(new KeyEvent(Noon, true, "StartFailed: container 4", 5), Assert.Single(state!.Events));

        for (var i = 0; i < 50; i++) state = KeyHistory.Merge(state, Report(new Condition(false, "Stopping"), actions: new NodeAction.StopContainer($"c{i}", TimeSpan.Zero, null, "r")));
        Assert.Equal(StateSink.MaxEvents, state!.Events.Count);
        Assert.Equal("stop container c49 (r)", state.Events[^1].Text);
    }

    [Fact]
    public void A_reason_that_stays_keeps_its_beginning()
    {
        var first = KeyHistory.Merge(null, Report(new Condition(false, "CrashLoopBackOff", "1 restart")));
        var second = KeyHistory.Merge(first, Report(new Condition(false, "CrashLoopBackOff", "2 restarts")) with { At = Noon.AddHours(1) });
        var third = KeyHistory.Merge(second, Report(new Condition(true, "Running")) with { At = Noon.AddHours(2) });

        Assert.Equal((Noon, Noon.AddHours(1)), (second.Since, second.At));
        Assert.Equal(Noon.AddHours(2), third.Since);
        Assert.Same(third, KeyHistory.Merge(third, Report(new Condition(true, "Running")) with { At = Noon.AddHours(3) }));
    }

    [Fact]
    public async Task Progress_and_problems_are_kept_until_they_end()
    {
        await using (var sink = Open(TimeProvider.System))
        {
            sink.SetPhase("Running");
            sink.SetPulls([new PullState("reg/app:1", Noon, [new LayerState("sha256:1", "downloading", 5, 10)])]);
            sink.SetProblems("file:a", ["a.yaml:1: wrong"]);
            sink.SetProblems("file:b", ["b.yaml:1: wrong"]);
            await Eventually.UntilAsync(() => Read() is { Pulls.Count: 1, Problems.Count: 2, Agent.Phase: "Running" }, "all of it is on disk");
            sink.SetProblems("file:a", []);
        }

        Assert.Empty(Read().Pulls); // nothing pulls after the end
        Assert.Equal(["b.yaml:1: wrong"], Read().Problems);
    }

    private static async Task AdvanceUntilAsync(FakeTimeProvider time, Func<bool> condition) => await Eventually.UntilAsync(
        () =>
        {
            time.Advance(TimeSpan.FromSeconds(1));
            return Task.FromResult(condition());
        },
        "the writer has come round");

    private static StatusReport Report(Condition condition, int attempt = 0, DateTimeOffset? next = null, params NodeAction[] actions) =>
        new(Key, condition, actions.ToEquatableArray(), attempt, next, Noon, "v1-h", Failed: attempt > 0);

    private AgentState Read() => StateFile.Read(_folder["state.json"]) ?? new AgentState();

    private StateSink Open(TimeProvider? time = null) =>
        StateSink.Open(_folder.Path, new AgentProcess { Pid = 1, Phase = "Starting" }, time ?? new FakeTimeProvider(Noon), _log);
}

/// <summary>Keeps log lines.</summary>
internal sealed class LinesLogger : ILogger
{
    private readonly List<string> _lines = [];

    public List<string> Lines
    {
        get
        {
            lock (_lines) return [.. _lines];
        }
    }

    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        lock (_lines) _lines.Add($"{logLevel} {formatter(state, exception)}");
    }
}
