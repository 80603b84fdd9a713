using System.Text;
using Reconciler.Agent.Logs;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.Logs;

public sealed class LogReaderTests : IDisposable
{
    private readonly TempFolder _folder = new();
    private readonly LogFiles _files;

    public LogReaderTests() => _files = new LogFiles(_folder.Path, TimeProvider.System);

    [Fact]
    public async Task Both_streams_are_printed_one_after_the_other()
    {
        Write(1, "a\nb", "x\n");
        Assert.Equal("a\nbx\n", await ReadAsync(new LogRequest { Namespace = "default", Workload = "web" }));
    }

    [Theory]
    [InlineData("", 2, "")]
    [InlineData("one\ntwo\nthree\n", 0, "")]
    [InlineData("one\ntwo\nthree\n", 1, "three\n")]
    [InlineData("one\ntwo\nthree\n", 2, "two\nthree\n")]
    [InlineData("one\ntwo\nthree", 2, "two\nthree")]
    [InlineData("one\ntwo\nthree\n", 3, "one\ntwo\nthree\n")]
    [InlineData("one\ntwo\nthree\n", 9, "one\ntwo\nthree\n")]
    [InlineData("\n\n\n", 2, "\n\n")]
    public async Task Tail_counts_lines_from_the_end(string log, int lines, string expected)
    {
        Write(1, log, "");
        Assert.Equal(expected, await ReadAsync(new LogRequest { Namespace = "default", Workload = "web", Container = "main", Tail = lines }));
    }

    [Fact]
    public async Task Tail_reads_backwards_over_chunks_and_over_a_cut()
    {
        var paths = _files.Create("default", "web", "main", 1);
        Lines(paths.Out, 1, 5000);
        Cut(paths.Out);
        Lines(paths.Out, 5001, 5100);

        var text = await ReadAsync(new LogRequest { Namespace = "default", Workload = "web", Tail = 3000 });

        Assert.Equal(3000, LineWriter.Check(Encoding.ASCII.GetBytes(text), 2101));
    }

    [Fact]
    public async Task Previous_is_the_incarnation_before_the_newest()
    {
        var request = new LogRequest { Namespace = "default", Workload = "web", Previous = true };
        Write(4, "old\n", "");
        await Assert.ThrowsAsync<LogNotFoundException>(() => ReadAsync(request));
        Write(5, "new\n", "");

        Assert.Equal("old\n", await ReadAsync(request));
        Assert.Equal("new\n", await ReadAsync(request with { Previous = false }));
    }

    [Fact]
    public async Task What_does_not_exist_is_named()
    {
        var missing = await Assert.ThrowsAsync<LogNotFoundException>(() => ReadAsync(new LogRequest { Namespace = "default", Workload = "web" }));
        Assert.Contains("default/web", missing.Message, StringComparison.Ordinal);
        Write(1, "", "");
        _files.Create("default", "web", "side", 1);

        var several = await Assert.ThrowsAsync<LogNotFoundException>(() => ReadAsync(new LogRequest { Namespace = "default", Workload = "web" }));
        Assert.Contains("web/main, web/side", several.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<LogNotFoundException>(() => ReadAsync(new LogRequest { Namespace = "default", Workload = "web", Container = "none" }));
    }

    [Fact]
    public async Task Following_goes_over_cuts_and_over_restarts()
    {
        var paths = _files.Create("default", "web", "main", 1);
        Lines(paths.Out, 1, 400);
        using var follower = new Follower(_files, new LogRequest { Namespace = "default", Workload = "web", Follow = true });
        var next = 401;
        for (var cuts = 0; cuts < 20; cuts++, next += 400)
        {
            Lines(paths.Out, next, next + 399);
            await follower.UntilAsync(LineWriter.Line(next + 399));
            Cut(paths.Out);
        }
        var second = _files.Create("default", "web", "main", 2);
        Lines(second.Out, next, next + 99);
        await follower.UntilAsync(LineWriter.Line(next + 99));
        Lines(paths.Out, next + 100, next + 100); // the old shim's last words
        await follower.UntilAsync(LineWriter.Line(next + 100));

        Assert.Equal(next + 100, LineWriter.Check(await follower.StopAsync()));
    }

    [Fact]
    public async Task Following_shows_both_streams_unfinished_lines_and_only_the_tail_at_first()
    {
        var paths = Write(1, "one\ntwo\nthree\n", "");
        using var follower = new Follower(_files, new LogRequest { Namespace = "default", Workload = "web", Follow = true, Tail = 1 });
        await follower.UntilAsync("three\n");
        File.AppendAllText(paths.Err, "error\n");
        await follower.UntilAsync("error\n");
        File.AppendAllText(paths.Out, "no newline");
        await follower.UntilAsync("no newline");

        Assert.Equal("three\nerror\nno newline", Encoding.ASCII.GetString(await follower.StopAsync()));
    }

    [Fact]
    public async Task Following_ends_when_the_logs_are_removed_and_changes_over_to_another_life()
    {
        Write(7, "first life\n", "");
        using var follower = new Follower(_files, new LogRequest { Namespace = "default", Workload = "web", Follow = true });
        await follower.UntilAsync("first life\n");
        Write(1, "second life\n", "");
        await follower.UntilAsync("second life\n");
        Directory.Delete(Path.Combine(_folder.Path, "default"), recursive: true);

        await follower.Done.WaitAsync(Eventually.DefaultLimit, TestContext.Current.CancellationToken);
    }

    public void Dispose() => _folder.Dispose();

    private static void Lines(string log, int first, int last)
    {
        var text = new StringBuilder();
        for (var i = first; i <= last; i++) text.Append(LineWriter.Line(i));
        File.AppendAllText(log, text.ToString());
    }

    private void Cut(string log) =>
        Assert.True(new LogCut(log).Run(LogReserve.CanCollapse(_folder.Path), 10 << 20, 0, CancellationToken.None) > 0);

    private LogPaths Write(long incarnation, string output, string error)
    {
        var paths = _files.Create("default", "web", "main", incarnation);
        File.AppendAllText(paths.Out, output);
        File.AppendAllText(paths.Err, error);
        return paths;
    }

    private async Task<string> ReadAsync(LogRequest request)
    {
        using var output = new MemoryStream();
        await new LogReader(_files, TimeProvider.System).ReadAsync(request, output, TestContext.Current.CancellationToken);
        return Encoding.ASCII.GetString(output.ToArray());
    }

    private sealed class Follower : IDisposable
    {
        private readonly CancellationTokenSource _stop = new();
        private readonly Collected _output = new();

        public Follower(LogFiles files, LogRequest request) =>
            Done = Task.Run(() => new LogReader(files, new StandingTime()).ReadAsync(request, _output, _stop.Token));

        public Task Done { get; }

        public Task UntilAsync(string end) => Eventually.UntilAsync(
            async () =>
            {
                if (Done.IsCompleted) await Done;
                return _output.EndsWith(Encoding.ASCII.GetBytes(end));
            },
            $"the follower shows '{end.Trim()}'");

        public async Task<byte[]> StopAsync()
        {
            await _stop.CancelAsync();
            await Done.WaitAsync(Eventually.DefaultLimit, TestContext.Current.CancellationToken);
            return _output.All();
        }

        public void Dispose()
        {
            _stop.Cancel();
            try
            {
                Done.Wait(Eventually.DefaultLimit, CancellationToken.None);
            }
            catch (AggregateException)
            {
                // the test itself has seen it
            }
            _stop.Dispose();
        }
    }

    /// <summary>Its timers run, its clock does not: an old incarnation is read however long the machine stalls before its last words.</summary>
    private sealed class StandingTime : TimeProvider
    {
        private readonly DateTimeOffset _now = System.GetUtcNow();

        public override DateTimeOffset GetUtcNow() => _now;
    }

    private sealed class Collected : MemoryStream
    {
        private readonly Lock _lock = new();

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            lock (_lock) Write(buffer.Span);
            return ValueTask.CompletedTask;
        }

        public bool EndsWith(byte[] end)
        {
            lock (_lock) return GetBuffer().AsSpan(0, (int)Length).EndsWith(end);
        }

        public byte[] All()
        {
            lock (_lock) return ToArray();
        }
    }
}
