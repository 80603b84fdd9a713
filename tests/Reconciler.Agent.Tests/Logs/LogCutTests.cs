using System.Text;
using Reconciler.Agent.Logs;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.Logs;

public sealed class LogCutTests : IDisposable
{
    private const long Everything = long.MaxValue / 2;
    private readonly TempFolder _folder = new();
    private readonly List<string> _shared = [];

    public static TheoryData<bool, int> Steps()
    {
        var rows = new TheoryData<bool, int>();
        using var folder = new TempFolder();
        foreach (var step in Enum.GetValues<CutStep>().Where(step => step != CutStep.PieceShifted)) // there is but one piece
            if (LogReserve.CanCollapse(folder.Path)) rows.Add(true, (int)step);
        foreach (var step in new[] { CutStep.Copied, CutStep.CopyRecorded, CutStep.PieceInPlace, CutStep.Removed }) rows.Add(false, (int)step);
        return rows;
    }

    [Fact]
    public async Task Hundreds_of_cuts_lose_and_double_nothing_while_a_process_writes()
    {
        if (!LogReserve.CanCollapse(_folder.Path)) return; // nothing of the kind on this file system
        var log = NewLog(_folder.Path);
        using var writer = new LineWriter(log);
        var lines = new LineChecker();
        var total = 0L;
        for (var cuts = 0; cuts < 300; cuts++)
        {
            await Eventually.UntilAsync(() => new FileInfo(log).Length > 8192, "the writer wrote");
            Assert.True(new LogCut(log).Run(true, Everything, 0, CancellationToken.None) > 0);
            writer.Pause();
            var piece = await File.ReadAllBytesAsync(LogPaths.PieceOf(log), TestContext.Current.CancellationToken);
            lines.Add(piece);
            total += piece.Length;
            writer.Resume();
        }
        await writer.StopAsync();
        var rest = await File.ReadAllBytesAsync(log, TestContext.Current.CancellationToken);
        lines.Add(rest);

        Assert.True(lines.Next > 300);
        Assert.Equal(total, LogJournal.Read(log).Base);
    }

    [Theory]
    [MemberData(nameof(Steps))]
    public void A_cut_killed_after_any_step_is_finished_by_the_next_one(bool collapses, int step)
    {
        var log = NewLog(FolderFor(collapses));
        Append(log, 1, 1000);
        Interrupt(log, collapses, (CutStep)step);
        Append(log, 1001, 1500);
        AssertWhole(log, 1500);

        new LogCut(log).Finish();

        AssertWhole(log, 1500);
        Assert.Equal(CutPhase.Settled, LogJournal.Read(log).Phase);
        Assert.False(File.Exists(LogPaths.UnfinishedPieceOf(log)));
        Append(log, 1501, 1700);
        Assert.True(new LogCut(log).Run(collapses, Everything, 0, CancellationToken.None) > 0);
        AssertEnds(log, 1700);
    }

    [Fact]
    public void Equal_content_everywhere_does_not_confuse_an_interrupted_cut()
    {
        if (!LogReserve.CanCollapse(_folder.Path)) return; // nothing of the kind on this file system
        foreach (var step in Enum.GetValues<CutStep>().Where(step => step != CutStep.PieceShifted))
        {
            var log = NewLog(_folder.Path);
            File.AppendAllText(log, new string('y', 20_000));
            Interrupt(log, true, step);
            File.AppendAllText(log, new string('y', 40_000));
            new LogCut(log).Finish();

            using var view = LogView.Open(log)!;
            Assert.Equal((0, 60_000), view.Range());
            Assert.Equal(60_000, ReadAll(view).Length);
            Delete(log);
        }
    }

    [Theory]
    [InlineData(true, 1)]
    [InlineData(true, 2)]
    [InlineData(true, 3)]
    [InlineData(false, 4)]
    [InlineData(false, 5)]
    [InlineData(false, 6)]
    public void Any_cuts_killed_anywhere_keep_one_stretch_that_ends_with_the_last_byte(bool collapses, int seed)
    {
        if (collapses && !LogReserve.CanCollapse(_folder.Path)) return; // nothing of the kind on this file system
        var random = new Random(seed);
        var log = NewLog(FolderFor(collapses));
        var written = new MemoryStream();
        var steps = Enum.GetValues<CutStep>();
        for (var round = 0; round < 300; round++)
        {
            var some = new byte[random.Next(1, 20_000)];
            random.NextBytes(some);
            written.Write(some);
            File.AppendAllBytes(log, some);
            var stopAt = steps[random.Next(steps.Length)];
            var kill = random.Next(2) == 0;
            // A file that is emptied without a piece of it loses what is written until then.
            var none = collapses ? 0 : 1;
            var (pieces, keep, leave) = (random.Next(none, 4), random.Next(none, 4) == 0 ? 0 : random.Next(4096, 30_000), random.Next(3) * 5000);
            var before = Kept();
            try
            {
                var cut = new LogCut(log, pieces, step =>
                {
                    if (kill && step == stopAt) throw new InjectedStop();
                }).Run(collapses, keep, leave, CancellationToken.None);
                if (cut > 0) Assert.InRange(LogPaths.PiecesOf(log).Count, 0, pieces);
            }
            catch (InjectedStop)
            {
                Kept();
                // Where a file is emptied, what comes before the end of the cut may hide that it was.
                if (!collapses || random.Next(2) == 0) new LogCut(log, pieces).Finish();
            }
            Assert.True(Kept() <= before, $"round {round}");
        }

        int Kept()
        {
            using var view = LogView.Open(log)!;
            var kept = ReadAll(view);
            Assert.True(written.ToArray().AsSpan().EndsWith(kept), $"{kept.Length} bytes that are not the end of what was written");
            Assert.Equal((written.Length - kept.Length, written.Length), view.Range());
            return kept.Length;
        }
    }

    [Fact]
    public void Only_the_end_of_what_is_cut_off_is_kept()
    {
        var log = NewLog(FolderFor(collapses: false));
        Append(log, 1, 1000);
        var size = new FileInfo(log).Length;
        new LogCut(log).Run(false, 1000, 0, CancellationToken.None);

        Assert.Equal(1000, new FileInfo(LogPaths.PieceOf(log)).Length);
        Assert.Equal(0, new FileInfo(log).Length);
        Append(log, 1001, 1010);
        using var view = LogView.Open(log)!;
        Assert.Equal((size - 1000, size + 10 * LineWriter.Line(1001).Length), view.Range());
        Assert.EndsWith(LineWriter.Line(1010), Encoding.ASCII.GetString(ReadAll(view)), StringComparison.Ordinal);
    }

    [Fact]
    public void A_cut_that_keeps_nothing_leaves_the_end_of_the_live_file()
    {
        if (!LogReserve.CanCollapse(_folder.Path)) return; // nothing of the kind on this file system
        var log = NewLog(_folder.Path);
        Append(log, 1, 2000);
        new LogCut(log).Run(true, Everything, 0, CancellationToken.None);
        Append(log, 2001, 4000);
        new LogCut(log).Run(true, 0, 10_000, CancellationToken.None);

        Assert.False(File.Exists(LogPaths.PieceOf(log)));
        Assert.InRange(new FileInfo(log).Length, 10_000, 10_000 + 8192);
        using var view = LogView.Open(log)!;
        Assert.Equal(Enumerable.Range(1, 4000).Sum(i => LineWriter.Line(i).Length), view.Range().End);
        AssertEnds(log, 4000);
    }

    [Theory]
    [InlineData("ext4")]
    [InlineData("tmpfs")]
    public async Task A_disk_without_room_for_the_record_of_a_cut_is_freed_all_the_same(string type)
    {
        var disk = Directory.CreateDirectory(_folder["full"]).FullName;
        if (type == "tmpfs")
        {
            await Shell.OutputAsync("mount", "-t", "tmpfs", "-o", "size=512k", "full", disk);
        }
        else
        {
            await using (var image = File.Create(_folder["image"])) image.SetLength(8 << 20);
            await Shell.OutputAsync("mkfs.ext4", "-q", "-b", "4096", "-m", "0", "-O", "^inline_data", _folder["image"]);
            var mounted = await Shell.RunAsync("mount", ["-o", "loop", _folder["image"], disk]);
            if (mounted.ExitCode != 0) Assert.Skip($"no loop device to be had: {mounted.Error}");
        }
        var collapses = LogReserve.CanCollapse(disk);
        Assert.Equal(type == "ext4", collapses);
        var log = Path.Combine(disk, "1.out");
        var written = 0L;
        using (var file = new FileStream(log, FileMode.CreateNew, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0))
        {
            var full = Assert.Throws<IOException>((Action)(() =>
            {
                for (var i = 1; ; i++) file.Write(Encoding.ASCII.GetBytes(LineWriter.Line(i)));
            }));
            Assert.Equal(Agent.Node.Libc.NoSpace, full.HResult);
            written = file.Length;
        }

        Assert.True(new LogCut(log).Run(collapses, 0, 20_000, CancellationToken.None) > 0);

        using var view = LogView.Open(log)!;
        Assert.Equal(written, view.Range().End);
        Assert.Equal(CutPhase.Settled, LogJournal.Read(log).Phase);
        var kept = Encoding.ASCII.GetString(ReadAll(view));
        if (collapses) Assert.InRange(kept.Length, 20_000, 30_000);
        File.AppendAllText(log, "goes on");
        Assert.EndsWith("goes on", Encoding.ASCII.GetString(ReadAll(view)), StringComparison.Ordinal);
    }

    [Fact]
    public void A_hole_at_the_front_of_a_log_is_a_cut_that_was_killed_before_its_record()
    {
        if (!LogReserve.CanCollapse(_folder.Path)) return; // nothing of the kind on this file system
        var log = NewLog(_folder.Path);
        Append(log, 1, 1000);
        var size = new FileInfo(log).Length;
        using (var file = File.OpenHandle(log, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite)) Agent.Node.Libc.PunchStart(file, 8192);

        Assert.Equal(8192, new LogCut(log).Run(true, Everything, 0, CancellationToken.None));

        using var view = LogView.Open(log)!;
        Assert.Equal((8192, size), view.Range());
        AssertEnds(log, 1000);
    }

    [Fact]
    public void A_log_emptied_by_hand_is_read_from_its_new_start()
    {
        var log = NewLog(_folder.Path);
        Append(log, 1, 100);
        using var view = LogView.Open(log)!;
        var offset = view.Range().End;
        File.WriteAllText(log, LineWriter.Line(7));
        var buffer = new byte[64 << 10];
        var read = view.Read(ref offset, buffer, out var lost);

        Assert.Equal(0, lost);
        Assert.Equal(LineWriter.Line(7), Encoding.ASCII.GetString(buffer, 0, read));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_reader_beside_the_cutter_gets_every_byte_once(bool collapses)
    {
        if (collapses && !LogReserve.CanCollapse(_folder.Path)) return; // nothing of the kind on this file system
        var log = NewLog(FolderFor(collapses));
        using var view = LogView.Open(log)!;
        using var stop = new CancellationTokenSource(TimeSpan.FromMinutes(3));
        var target = long.MaxValue;
        var position = 0L;
        var gone = 0L;
        using var all = new MemoryStream();
        var reading = Task.Run(
            () =>
            {
                var buffer = new byte[3000];
                while (Volatile.Read(ref position) < Volatile.Read(ref target))
                {
                    stop.Token.ThrowIfCancellationRequested();
                    var at = position;
                    var read = view.Read(ref at, buffer, out var lost);
                    all.Write(buffer, 0, read);
                    gone += lost;
                    Volatile.Write(ref position, at);
                }
            },
            CancellationToken.None);
        var next = 1;
        for (var cuts = 0; cuts < 60; cuts++, next += 300)
        {
            Append(log, next, next + 299);
            // A reader slower than two cuts would miss a piece, and be told so: that is not what this is about.
            var start = LogJournal.Read(log).Base;
            await Eventually.UntilAsync(() => reading.IsCompleted || Volatile.Read(ref position) >= start, "the reader keeps up");
            new LogCut(log).Run(collapses, Everything, 0, CancellationToken.None);
        }
        Volatile.Write(ref target, view.Range().End);
        await reading;

        Assert.Equal(0, gone);
        Assert.Equal(next - 1, LineWriter.Check(all.ToArray()));
    }

    public void Dispose()
    {
        _folder.Dispose();
        foreach (var folder in _shared) Directory.Delete(folder, recursive: true);
    }

    private static void Interrupt(string log, bool collapses, CutStep step) => Assert.Throws<InjectedStop>(() =>
        new LogCut(log, onStep: at =>
        {
            if (at == step) throw new InjectedStop();
        }).Run(collapses, Everything, 0, CancellationToken.None));

    private static string NewLog(string folder)
    {
        var log = Path.Combine(folder, Names.Unique() + ".out");
        File.WriteAllText(log, "");
        return log;
    }

    private static void Append(string log, int first, int last)
    {
        var text = new StringBuilder();
        for (var i = first; i <= last; i++) text.Append(LineWriter.Line(i));
        File.AppendAllText(log, text.ToString());
    }

    private static void AssertWhole(string log, int lines)
    {
        using var view = LogView.Open(log)!;
        Assert.Equal(lines, LineWriter.Check(ReadAll(view)));
    }

    private static void AssertEnds(string log, int line)
    {
        using var view = LogView.Open(log)!;
        Assert.EndsWith(LineWriter.Line(line), Encoding.ASCII.GetString(ReadAll(view)), StringComparison.Ordinal);
    }

    internal static byte[] ReadAll(LogView view)
    {
        using var all = new MemoryStream();
        var buffer = new byte[64 << 10];
        var offset = view.Range().Start;
        int read;
        while ((read = view.Read(ref offset, buffer, out _)) > 0) all.Write(buffer, 0, read);
        return all.ToArray();
    }

    private static void Delete(string log)
    {
        foreach (var file in Directory.GetFiles(Path.GetDirectoryName(log)!, Path.GetFileName(log) + "*")) File.Delete(file);
    }

    /// <summary>tmpfs cannot collapse a range.</summary>
    private string FolderFor(bool collapses)
    {
        if (collapses || !Directory.Exists("/dev/shm")) return _folder.Path;
        var shared = Directory.CreateDirectory("/dev/shm/rc-" + Names.Unique()).FullName;
        _shared.Add(shared);
        return shared;
    }

    private sealed class InjectedStop : Exception;
}
