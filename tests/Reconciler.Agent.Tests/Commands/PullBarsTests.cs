using Microsoft.Extensions.Time.Testing;
using Reconciler.Agent.Commands;
using Reconciler.Containerd;

namespace Reconciler.Agent.Tests.Commands;

public sealed class PullBarsTests
{
    private readonly FakeTimeProvider _time = new();

    [Fact]
    public void Each_item_has_one_line_that_is_drawn_over()
    {
        var screen = new StringWriter();
        using (var bars = new PullBars(screen, _time, () => (80, 24)))
        {
            Report(bars, "reg/app:1", "resolving");
            Report(bars, Layer('a'), "downloading", 0, 4096);
            Report(bars, Layer('b'), "waiting");
            Report(bars, Layer('a'), "downloading", 2048, 4096);
            Report(bars, Layer('b'), "exists");
            Assert.Equal(["reg/app:1: resolving", "aaaaaaaaaaaa: [============            ] 2KiB of 4KiB", "bbbbbbbbbbbb: exists"], Lines(screen));
            Report(bars, Layer('a'), "unpacked");
            Report(bars, "reg/app:1", "done");
        }
        Assert.Equal(["reg/app:1: done", "aaaaaaaaaaaa: unpacked", "bbbbbbbbbbbb: exists"], Lines(screen));
    }

    [Fact]
    public void Lines_are_cut_to_the_terminal_and_finished_ones_leave_a_small_one_first()
    {
        var screen = new StringWriter();
        using var bars = new PullBars(screen, _time, () => (20, 3));
        Report(bars, Layer('a'), "done");
        Report(bars, Layer('b'), "downloading", 1, 2);
        Report(bars, Layer('c'), "waiting");
        Assert.Equal(["bbbbbbbbbbbb: [====", "cccccccccccc: waiti"], Lines(screen));
    }

    [Fact]
    public void It_is_drawn_at_most_ten_times_a_second_and_at_the_end()
    {
        var screen = new StringWriter();
        var bars = new PullBars(screen, TimeProvider.System, () => (80, 24));
        for (var i = 0; i < 50_000; i++) bars.Report(Progress(Layer('a'), "downloading", i, 50_000));
        bars.Report(Progress(Layer('a'), "done", 0, 0));
        bars.Dispose();
        bars.Dispose();
        Assert.Equal(["aaaaaaaaaaaa: done"], Lines(screen));
        Assert.True(screen.ToString().Length < 1_000_000, "50,000 reports are far fewer draws");
    }

    private void Report(PullBars bars, string item, string status, long offset = 0, long total = 0)
    {
        bars.Report(Progress(item, status, offset, total));
        _time.Advance(TimeSpan.FromMilliseconds(100));
    }

    private static ProgressInfo Progress(string item, string status, long offset, long total) =>
        new(item, status, offset, total, DateTimeOffset.MinValue, DateTimeOffset.MinValue, 0, "");

    private static string Layer(char digit) => $"layer-sha256:{new string(digit, 64)}";

    /// <summary>What a terminal shows after this output.</summary>
    private static List<string> Lines(StringWriter written)
    {
        var lines = new List<string>();
        var row = 0;
        var text = written.ToString();
        for (var i = 0; i < text.Length;)
        {
            if (text[i] == '\e')
            {
                var end = text.IndexOfAny(['A', 'J'], i);
                if (text[end] == 'A') row -= int.Parse(text[(i + 2)..end], System.Globalization.CultureInfo.InvariantCulture);
                else lines.RemoveRange(row, lines.Count - row);
                i = end + 1;
                continue;
            }
            var next = text.IndexOf('\n', i);
            Assert.Equal(lines.Count, row); // what is below was cleared
            lines.Add(text[i..next]);
            row++;
            i = next + 1;
        }
        return lines;
    }
}
