using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using Reconciler.Agent.Http;

namespace Reconciler.Agent.Page;

/// <summary>
/// <c>/</c>: the page with the state of now; <c>/events</c>: its content anew with each change, as Server-Sent Events (HTML standard, 9.2). All who look
/// share one rendering; one who does not read holds up nobody and has nothing kept for him.
/// </summary>
internal sealed class PageFeed(NodeWindow window, TimeProvider time)
{
    public const int MaxViewers = 16;

    private static readonly TimeSpan Fresh = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(700);

    /// <summary>The page calls the connection lost after three of these.</summary>
    private static readonly TimeSpan Silence = TimeSpan.FromSeconds(2);

    private readonly Lock _lock = new();
    private View? _view;
    private long _madeAt;
    private TimeSpan _pause = Fresh;
    private int _viewers;

    public Dictionary<string, HttpHandler> Routes() => new(StringComparer.Ordinal)
    {
        ["/"] = (_, _) => ValueTask.FromResult(Document()),
        ["/events"] = (_, stop) => ValueTask.FromResult(Events(stop)),
    };

    /// <summary>How long a rendering is good for: one of a thousand containers must not keep the node busy while someone looks.</summary>
    internal static TimeSpan PauseAfter(TimeSpan rendering) => TimeSpan.FromTicks(Math.Clamp(rendering.Ticks * 20, Fresh.Ticks, Silence.Ticks));

    private HttpAnswer Document()
    {
        var answer = PageDocument.Of(Current().Html, time.GetUtcNow());
        if (Volatile.Read(ref _viewers) == 0) Forget();
        return answer;
    }

    private HttpAnswer Events(CancellationToken stop) => Volatile.Read(ref _viewers) >= MaxViewers
        ? HttpAnswer.Text(503, $"{MaxViewers} look already") with { Extra = ("Retry-After", "5") }
        : new HttpAnswer(200, "text/event-stream; charset=utf-8", default) { Stream = StreamAsync(stop) };

    private async IAsyncEnumerable<ReadOnlyMemory<byte>> StreamAsync([EnumeratorCancellation] CancellationToken stop)
    {
        Interlocked.Increment(ref _viewers);
        try
        {
            View? sent = null;
            for (var spoke = time.GetTimestamp(); ; await Task.Delay(Fresh, time, stop))
            {
                var next = window.Changed;
                var view = Current();
                if (view != sent || time.GetElapsedTime(spoke) >= Silence)
                {
                    yield return Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"id: {time.GetUtcNow().ToUnixTimeMilliseconds()}\n"));
                    yield return view == sent ? Still : view.Event;
                    (sent, spoke) = (view, time.GetTimestamp());
                }
                await next.WaitAsync(Look, time, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
        finally
        {
            if (Interlocked.Decrement(ref _viewers) == 0) Forget();
        }
    }

    private static readonly byte[] Still = "event: still\ndata: -\n\n"u8.ToArray();

    /// <summary>The same object as long as nothing differs.</summary>
    private View Current()
    {
        lock (_lock)
        {
            if (_view is { } known && time.GetElapsedTime(_madeAt) < _pause) return known;
            var began = time.GetTimestamp();
            var html = PageView.Of(window.Look());
            _madeAt = time.GetTimestamp();
            _pause = PauseAfter(time.GetElapsedTime(began, _madeAt));
            return _view?.Html == html ? _view : _view = new View(html);
        }
    }

    private void Forget()
    {
        lock (_lock) _view = null;
    }

    private sealed class View(string html)
    {
        public string Html => html;

        public byte[] Event { get; } = Encoding.UTF8.GetBytes($"event: view\ndata: {html.Replace("\n", "\ndata: ", StringComparison.Ordinal)}\n\n");
    }
}
