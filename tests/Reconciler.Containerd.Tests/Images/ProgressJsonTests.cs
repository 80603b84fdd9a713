using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Reconciler.Containerd.Images;
using Reconciler.Testing;

namespace Reconciler.Containerd.Tests.Images;

/// <summary>The bytes of the JSON stream: what is in the files is a promise to its readers.</summary>
[Trait("containerd", "none")]
public sealed class ProgressJsonTests
{
    private const string Image = "registry.test/shop/web:7";
    private const string First = "layer-sha256:1111111111111111111111111111111111111111111111111111111111111111";
    private const string Second = "layer-sha256:2222222222222222222222222222222222222222222222222222222222222222";

    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 2, 3, 4, 5, 600, TimeSpan.Zero));

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public Task A_pull_from_resolving_to_done_is_as_in_its_golden_file() => CompareAsync("pull-done.golden.json", null,
    [
        _ => { },
        p =>
        {
            p.Image("resolved");
            p.Set("manifest-sha256:aa", "waiting", 700);
            p.Set("manifest-sha256:aa", "exists");
            p.Set("config-sha256:bb", "waiting", 300);
            p.Advance("config-sha256:bb", 300);
            p.Set("config-sha256:bb", "done");
            p.Set(First, "waiting", 5_000_000_000);
            p.Set(Second, "waiting", 20);
        },
        p => p.Advance(First, 1_048_576),
        p =>
        {
            p.Advance(First, 5_000_000_000);
            p.Set(First, "done");
            p.Set(Second, "exists");
        },
        p =>
        {
            p.Image("unpacking");
            p.Set(First, "unpacking");
        },
        p => p.Set(First, "unpacked"),
        p =>
        {
            p.Set(Second, "unpacking");
            p.Set(Second, "unpacked");
            p.Image("unpacked");
            p.Image("done");
        },
    ]);

    [Fact]
    public Task A_failed_pull_ends_as_in_its_golden_file() => CompareAsync("pull-failed.golden.json", "blob \"x\" of café: the registry refuses <403>\n",
    [
        p =>
        {
            p.Image("resolved");
            p.Set(First, "waiting", 10);
        },
    ]);

    private async Task CompareAsync(string golden, string? error, Action<PullProgress>[] steps)
    {
        var progress = new PullProgress(Image, _time, NullLogger.Instance);
        await using var target = new Frames();
        var json = new ProgressJson(target, _time);
        var writing = json.RunAsync(() => error is null ? null : new ProgressInfo("", "", 0, 0, default, default, 500, error), Stop);
        foreach (var step in steps)
        {
            step(progress);
            json.Show(progress.Snapshot());
            Assert.True(await target.Written.WaitAsync(Eventually.DefaultLimit, Stop), "the frame is written");
            _time.Advance(TimeSpan.FromMilliseconds(250));
        }
        await json.EndAsync(writing);

        Assert.Equal(
            await File.ReadAllTextAsync(Path.Combine(AppContext.BaseDirectory, "Images", golden), Stop), Encoding.UTF8.GetString(target.ToArray()));
    }

    private sealed class Frames : MemoryStream
    {
        public SemaphoreSlim Written { get; } = new(0);

        public override Task FlushAsync(CancellationToken cancellationToken)
        {
            Written.Release();
            return Task.CompletedTask;
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing) Written.Dispose();
            base.Dispose(disposing);
        }
    }
}
