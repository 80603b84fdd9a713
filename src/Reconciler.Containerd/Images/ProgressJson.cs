using System.Buffers;
using System.Text.Json;
using System.Threading.Channels;

namespace Reconciler.Containerd.Images;

/// <summary>Progress as one JSON array of frames, each an array of items. A reader that is slow misses frames, never the last one.</summary>
internal sealed class ProgressJson(Stream target, TimeProvider time)
{
    private static readonly TimeSpan FlushLimit = TimeSpan.FromSeconds(30);

    private readonly Channel<IReadOnlyList<ProgressInfo>> _frames = Channel.CreateBounded<IReadOnlyList<ProgressInfo>>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });
    private readonly ArrayBufferWriter<byte> _buffer = new();

    /// <summary>Never waits.</summary>
    public void Show(IReadOnlyList<ProgressInfo> frame) => _frames.Writer.TryWrite(frame);

    /// <summary>Writes frames until <see cref="EndAsync"/>, and the closing bracket.</summary>
    public async Task RunAsync(Func<ProgressInfo?> failure, CancellationToken cancellation)
    {
        await target.WriteAsync("["u8.ToArray(), cancellation);
        var first = true;
        await foreach (var frame in _frames.Reader.ReadAllAsync(cancellation))
        {
            await WriteAsync(frame, first, cancellation);
            first = false;
        }
        if (failure() is { } item) await WriteAsync([item], first, cancellation);
        await target.WriteAsync("]"u8.ToArray(), cancellation);
        await target.FlushAsync(cancellation);
    }

    /// <summary>No frame comes any more; waits until all is written, at most 30 s.</summary>
    /// <exception cref="TimeoutException">The stream takes nothing.</exception>
    public async Task EndAsync(Task running)
    {
        _frames.Writer.TryComplete();
        await running.WaitAsync(FlushLimit, time);
    }

    private async Task WriteAsync(IReadOnlyList<ProgressInfo> frame, bool first, CancellationToken cancellation)
    {
        _buffer.ResetWrittenCount();
        if (!first) _buffer.Write(","u8);
        using (var writer = new Utf8JsonWriter(_buffer))
        {
            writer.WriteStartArray();
            foreach (var item in frame) Write(writer, item);
            writer.WriteEndArray();
        }
        await target.WriteAsync(_buffer.WrittenMemory, cancellation);
        await target.FlushAsync(cancellation);
    }

    private static void Write(Utf8JsonWriter writer, ProgressInfo item)
    {
        writer.WriteStartObject();
        writer.WriteString("Ref", item.Ref);
        writer.WriteString("Status", item.Status);
        writer.WriteNumber("Offset", item.Offset);
        writer.WriteNumber("Total", item.Total);
        writer.WriteString("StartedAt", item.StartedAt.UtcDateTime);
        writer.WriteString("UpdatedAt", item.UpdatedAt.UtcDateTime);
        writer.WriteNumber("Code", item.Code);
        writer.WriteString("ErrorMessage", item.ErrorMessage);
        writer.WriteEndObject();
    }
}
