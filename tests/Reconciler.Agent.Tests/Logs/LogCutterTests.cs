using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Reconciler.Agent.Hosting;
using Reconciler.Agent.Logs;
using Reconciler.Core.Model;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.Logs;

public sealed class LogCutterTests : IDisposable
{
    private const int Cap = 100_000;
    private readonly TempFolder _folder = new();
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
    private readonly LogFiles _files;
    private (long Free, long Total) _disk = (50, 100);

    public LogCutterTests() => _files = new LogFiles(_folder.Path, _time);

    [Fact]
    public async Task A_process_that_writes_at_full_speed_stays_bounded_and_its_log_whole()
    {
        var files = new LogFiles(_folder.Path, TimeProvider.System);
        var paths = files.Create("default", "web", "main", 1);
        using var stop = new CancellationTokenSource();
        var cutting = Task.Run(() => Cutter(files, TimeProvider.System).RunAsync(stop.Token), TestContext.Current.CancellationToken);
        using var writer = new LineWriter(paths.Out);
        await Eventually.UntilAsync(() => cutting.IsCompleted || LogJournal.Read(paths.Out).Base > 20 * Cap, "it was cut many times");
        await writer.StopAsync();
        await Eventually.UntilAsync(() => cutting.IsCompleted || new FileInfo(paths.Out).Length <= Cap, "the last cut is done");
        await stop.CancelAsync();
        await cutting;

        Assert.InRange(new FileInfo(LogPaths.PieceOf(paths.Out)).Length, 1, Cap);
        using var output = new MemoryStream();
        await new LogReader(files, TimeProvider.System).ReadAsync(new LogRequest { Namespace = "default", Workload = "web" }, output, TestContext.Current.CancellationToken);
        var text = Encoding.ASCII.GetString(output.ToArray());
        var whole = text[(text.IndexOf('\n', StringComparison.Ordinal) + 1)..];
        if (LogReserve.CanCollapse(_folder.Path)) LineWriter.Check(Encoding.ASCII.GetBytes(whole), long.Parse(whole.Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture));
    }

    [Fact]
    public void A_file_is_cut_at_its_cap_and_looked_at_sooner_while_it_grows()
    {
        var cutter = Cutter(_files, _time);
        cutter.Sweep(CancellationToken.None);
        var paths = _files.Create("default", "web", "main", 1);
        Fill(paths.Out, Cap);
        cutter.LookAtAll(CancellationToken.None);
        Assert.Equal(Cap, new FileInfo(paths.Out).Length);

        Fill(paths.Out, Cap);
        cutter.LookAtAll(CancellationToken.None);
        Assert.Equal(2 * Cap, new FileInfo(paths.Out).Length); // not due yet
        _time.Advance(TimeSpan.FromSeconds(5));
        cutter.LookAtAll(CancellationToken.None);
        Assert.InRange(new FileInfo(paths.Out).Length, 1, Cap + 4096);
        Assert.InRange(new FileInfo(LogPaths.PieceOf(paths.Out)).Length, Cap - 4095, 2 * Cap);

        Fill(paths.Out, Cap);
        _time.Advance(TimeSpan.FromMilliseconds(200));
        cutter.LookAtAll(CancellationToken.None);
        Assert.InRange(new FileInfo(paths.Out).Length, 1, Cap + 4096);
    }

    [Theory]
    [InlineData(1, 12)]
    [InlineData(3, 2)]
    [InlineData(3, 12)]
    [InlineData(5, 12)]
    public void So_many_files_of_the_size_stay_and_are_one_stretch(int files, int rounds)
    {
        var cutter = Cutter(_files, _time, files);
        cutter.Sweep(CancellationToken.None);
        var log = _files.Create("default", "web", "main", 1).Out;
        var written = new MemoryStream();
        for (var i = 0; i < rounds; i++)
        {
            // In one of the rounds more than all files may hold.
            var some = System.Security.Cryptography.RandomNumberGenerator.GetBytes(i == 7 ? 9 * Cap : Cap + 1000);
            written.Write(some);
            File.AppendAllBytes(log, some);
            _time.Advance(TimeSpan.FromSeconds(5));
            cutter.LookAtAll(CancellationToken.None);
        }

        using var view = LogView.Open(log)!;
        var kept = LogCutTests.ReadAll(view);
        Assert.True(written.ToArray().AsSpan().EndsWith(kept));
        Assert.InRange(LogPaths.PiecesOf(log).Count, 0, files - 1);
        if (LogReserve.CanCollapse(_folder.Path)) Assert.Equal((written.Length - kept.Length, written.Length), view.Range());
        Assert.All(LogPaths.PiecesOf(log), number => Assert.InRange(new FileInfo(LogPaths.PieceOf(log, number)).Length, 1, Cap));
        Assert.InRange(kept.Length, Math.Min(written.Length, (files - 1) * (Cap - 4096)), files * Cap + 4096);
    }

    [Fact]
    public void A_limit_of_the_node_takes_the_oldest_files_first_and_leaves_the_end_of_live_ones()
    {
        var ended = _files.Create("default", "web", "main", 1).Out;
        Fill(ended, 900_000);
        var live = _files.Create("default", "web", "main", 2).Out;
        Fill(live, 400_000);
        for (var number = 1; number <= 2; number++)
        {
            File.WriteAllBytes(LogPaths.PieceOf(live, number), new byte[300_000]);
            File.SetLastWriteTimeUtc(LogPaths.PieceOf(live, number), DateTime.UnixEpoch);
        }
        var cutter = Cutter(_files, _time, total: 1_500_000);
        cutter.Sweep(CancellationToken.None);

        cutter.KeepReserve(CancellationToken.None); // 1.9 MB: the second piece and the first
        Assert.False(File.Exists(LogPaths.PieceOf(live, 2)));
        Assert.False(File.Exists(LogPaths.PieceOf(live, 1)));
        Assert.Equal(900_000, new FileInfo(ended).Length);

        Fill(live, 250_000);
        _time.Advance(TimeSpan.FromMinutes(1));
        cutter.KeepReserve(CancellationToken.None); // 1.55 MB
        Assert.True(new FileInfo(ended).Length < 900_000);
        Assert.Equal(650_000, new FileInfo(live).Length);
    }

    [Fact]
    public async Task A_look_for_broken_logs_that_fails_ends_nothing()
    {
        _disk = (1, 100);
        var looks = 0;
        var cutter = new LogCutter(
            new LogFiles(_folder.Path, TimeProvider.System),
            new NodeOptions { NodeName = "n", LogMaxBytes = Cap },
            TimeProvider.System,
            NullLogger<LogCutter>.Instance,
            new LogReserve(_folder.Path, 0.05, disk: () => _disk))
        {
            DiskWasShort = () =>
            {
                Interlocked.Increment(ref looks);
                throw new IOException("no /proc");
            },
        };
        using var stop = new CancellationTokenSource();
        var cutting = Task.Run(() => cutter.RunAsync(stop.Token), TestContext.Current.CancellationToken);

        await Eventually.UntilAsync(() => cutting.IsCompleted || Volatile.Read(ref looks) > 1, "it looks again");
        await stop.CancelAsync();
        await cutting;
        Assert.True(looks > 1);
    }

    [Fact]
    public void Three_incarnations_stay_and_a_sweep_finishes_what_was_interrupted()
    {
        for (var i = 1; i <= 5; i++) Fill(_files.Create("default", "web", "main", i).Out, 20_000);
        var newest = _files.PathsOf("default", "web", "main", 5).Out;
        Assert.Throws<TimeoutException>(() => new LogCut(newest, onStep: step => _ = step == CutStep.PieceInPlace ? throw new TimeoutException() : 0)
            .Run(LogReserve.CanCollapse(_folder.Path), Cap, 0, CancellationToken.None));
        File.WriteAllText(_files.PathsOf("default", "web", "main", 2).Out + ".1", "piece");
        File.WriteAllText(_files.PathsOf("default", "web", "gone", 2).Out.Replace("gone", "main", StringComparison.Ordinal).Replace("2.out", "1.out.cut", StringComparison.Ordinal), "journal");

        Cutter(_files, _time).Sweep(CancellationToken.None);

        Assert.Equal([3, 4, 5], _files.Incarnations("default", "web", "main"));
        Assert.Equal(CutPhase.Settled, LogJournal.Read(newest).Phase);
        Assert.DoesNotContain(Directory.GetFiles(_folder["default/web/main"]), path => Path.GetFileName(path)[0] is '1' or '2');
    }

    [Fact]
    public void The_logs_of_a_removed_container_go_after_a_day()
    {
        var stays = ResourceKey.Container("default", "web", "main");
        _files.Create("default", "web", "main", 1);
        _files.Create("default", "old", "main", 1);
        _files.Present(new HashSet<ResourceKey> { stays });
        _time.Advance(LogCutter.KeptAfterRemoval - TimeSpan.FromSeconds(1));
        Cutter(_files, _time).Sweep(CancellationToken.None); // a new agent each time: nothing is only in memory
        Assert.True(Directory.Exists(_folder["default/old"]));

        _time.Advance(TimeSpan.FromSeconds(1));
        Cutter(_files, _time).Sweep(CancellationToken.None);
        Assert.False(Directory.Exists(_folder["default/old"]));
        Assert.True(Directory.Exists(_folder["default/web/main"]));
    }

    [Fact]
    public void A_disk_short_of_space_costs_pieces_and_old_incarnations_first_and_the_end_of_live_logs_never()
    {
        if (!LogReserve.CanCollapse(_folder.Path)) return; // nothing of the kind on this file system
        var old = _files.Create("default", "web", "main", 1).Out;
        Fill(old, 400_000);
        var live = _files.Create("default", "web", "main", 2).Out;
        Fill(live, 300_000);
        File.WriteAllBytes(LogPaths.PieceOf(live), new byte[200_000]);
        File.SetLastWriteTimeUtc(LogPaths.PieceOf(live), DateTime.UnixEpoch);
        var small = _files.Create("default", "small", "main", 1).Out;
        Fill(small, 10_000);

        var spared = Cutter(_files, _time);
        spared.Sweep(CancellationToken.None);
        spared.KeepReserve(CancellationToken.None);
        Assert.Equal(300_000, new FileInfo(live).Length);

        _disk = (1, 100);
        var order = LogReserve.Victims(_files).Select(victim => victim.Path).ToList();
        Assert.Equal([LogPaths.PieceOf(live), old, live], order);

        var cutter = Cutter(_files, _time);
        cutter.Sweep(CancellationToken.None);
        cutter.KeepReserve(CancellationToken.None);
        Assert.False(File.Exists(LogPaths.PieceOf(live)));
        Assert.InRange(new FileInfo(old).Length, 0, 64 * 1024 + 4096);
        Assert.InRange(new FileInfo(live).Length, 64 * 1024, 64 * 1024 + 4096);
        Assert.Equal(10_000, new FileInfo(small).Length);
    }

    public void Dispose() => _folder.Dispose();

    private static void Fill(string log, int bytes) => File.AppendAllText(log, new string('x', bytes - 1) + "\n");

    private LogCutter Cutter(LogFiles files, TimeProvider time, int maxFiles = 2, long? total = null) => new(
        files,
        new NodeOptions { NodeName = "n", LogMaxBytes = Cap, LogMaxFiles = maxFiles },
        time,
        NullLogger<LogCutter>.Instance,
        new LogReserve(_folder.Path, 0.05, total, () => _disk));
}
