using System.Buffers;
using System.IO.Pipelines;
using System.Text;

namespace Reconciler.Sources.Kubernetes;

/// <summary>A running watch request: one JSON event per line, until the server ends it.</summary>
public sealed class ClusterWatch : IAsyncDisposable
{
    private const int MaxLine = 8 << 20;

    private readonly HttpResponseMessage _response;
    private readonly PipeReader _reader;
    private readonly CancellationTokenSource _deadline;
    private readonly Func<Exception, ClusterException> _broken;

    internal ClusterWatch(HttpResponseMessage response, Stream stream, CancellationTokenSource deadline, Func<Exception, ClusterException> broken)
    {
        (_response, _deadline, _broken) = (response, deadline, broken);
        _reader = PipeReader.Create(stream);
    }

    /// <summary>The next event; null = the server ended the watch.</summary>
    /// <exception cref="ClusterException">The connection broke, a line is no event, or it is an ERROR event with its code.</exception>
    public async Task<WatchEvent?> NextAsync(CancellationToken cancellation)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(_deadline.Token, cancellation);
        try
        {
            while (true)
            {
                var read = await _reader.ReadAsync(either.Token);
                var buffer = read.Buffer;
                if (buffer.PositionOf((byte)'\n') is { } end)
                {
                    var line = Encoding.UTF8.GetString(buffer.Slice(0, end));
                    _reader.AdvanceTo(buffer.GetPosition(1, end));
                    if (line.Length > 0) return WatchEvent.Parse(line);
                    continue;
                }
                if (read.IsCompleted) return buffer.IsEmpty ? null : throw new ClusterException(0, "", "the watch broke off inside a line");
                if (buffer.Length > MaxLine) throw new ClusterException(0, "", $"a watch event is larger than {MaxLine} bytes");
                _reader.AdvanceTo(buffer.Start, buffer.End);
            }
        }
        catch (Exception e) when (ClusterClient.IsBroken(e) && !cancellation.IsCancellationRequested)
        {
            throw _broken(e);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _reader.CompleteAsync();
        _response.Dispose();
        _deadline.Dispose();
    }
}
