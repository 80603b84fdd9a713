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
        foreach (var step in Enum.GetValues<CutStep>())
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
        foreach (var step in Enum.GetValues<CutStep>())
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

    [Fact]
    public void A_log_emptied_by_hand_is_read_from_its_new_start()
    {
        var log = NewLog(_folder.Path);
        Append(log, 1, 100);
        using var view = LogView.Open(log)!;
        var offset = view.Range().End;
        File.WriteAllText(log, LineWriter.Line(7));
        var buffer = new byte[1000];
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
        new LogCut(log, at =>
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

    private static byte[] ReadAll(LogView view)
    {
        using var all = new MemoryStream();
        var buffer = new byte[1000];
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
