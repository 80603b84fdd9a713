using Google.Protobuf;
using Grpc.Core;
using Reconciler.Containerd.Api.Content;

namespace Reconciler.Containerd.Images;

/// <summary>What became of an attempt to open an ingest.</summary>
internal enum IngestState
{
    Open,

    /// <summary>The content is there, and in our lease.</summary>
    Exists,

    /// <summary>Another writer has it.</summary>
    Locked,
}

/// <summary>One blob on its way into the content store (Content.Write). While it is open nobody else writes this blob; what it has stays when it closes.</summary>
internal sealed class ContentIngest : IDisposable
{
    private readonly ContainerdClient _client;
    private readonly Descriptor _blob;
    private readonly string _ref;
    private readonly CancellationToken _cancellation;
    private readonly CancellationTokenSource _limit;
    private readonly CancellationTokenSource _either;
    private readonly AsyncDuplexStreamingCall<WriteContentRequest, WriteContentResponse> _call;
    private bool _unanswered;

    private ContentIngest(ContainerdClient client, string key, Descriptor blob, string? lease, CancellationToken cancellation)
    {
        _client = client;
        _ref = key;
        _blob = blob;
        _cancellation = cancellation;
        _limit = new CancellationTokenSource(Timeout.InfiniteTimeSpan, client.Options.TimeProvider);
        _either = CancellationTokenSource.CreateLinkedTokenSource(_limit.Token, cancellation);
        _call = client.Services.Content.Write(new CallOptions(client.Headers(lease), cancellationToken: _either.Token));
    }

    /// <summary>Bytes the store has, those under way included.</summary>
    public long Offset { get; private set; }

    /// <param name="client">The connection.</param>
    /// <param name="key">The ingest's ref.</param>
    /// <param name="blob">What is to be written.</param>
    /// <param name="lease">Null = the ingest stays for a day without one.</param>
    /// <param name="cancellation">Ends the stream; what the store has stays.</param>
    public static async Task<(IngestState State, ContentIngest? Ingest)> OpenAsync(
        ContainerdClient client, string key, Descriptor blob, string? lease, CancellationToken cancellation)
    {
        var ingest = new ContentIngest(client, key, blob, lease, cancellation);
        try
        {
            var answer = await ingest.ExchangeAsync(new WriteContentRequest { Action = WriteAction.Stat, Ref = key, Total = blob.Size, Expected = blob.Digest });
            ingest.Offset = answer.Offset;
            return (IngestState.Open, ingest);
        }
        catch (RpcException e)
        {
            ingest.Dispose();
            if (e.StatusCode == StatusCode.AlreadyExists) return (IngestState.Exists, null);
            if (Errors.IsLocked(e)) return (IngestState.Locked, null);
            throw ingest.Failure(e);
        }
        catch
        {
            ingest.Dispose();
            throw;
        }
    }

    /// <summary>Puts a small blob in one message.</summary>
    public static async Task<IngestState> PutAsync(
        ContainerdClient client, string key, Descriptor blob, byte[] bytes, IReadOnlyDictionary<string, string> labels, string lease, CancellationToken cancellation)
    {
        using var ingest = new ContentIngest(client, key, blob, lease, cancellation);
        try
        {
            return await ingest.CommitAsync(bytes, labels);
        }
        catch (RpcException e) when (Errors.IsLocked(e))
        {
            return IngestState.Locked;
        }
        catch (RpcException e)
        {
            throw ingest.Failure(e);
        }
    }

    /// <summary>Appends; the memory is free again when this returns. The store's answer is read before the next message.</summary>
    public async Task AppendAsync(ReadOnlyMemory<byte> data)
    {
        try
        {
            await SendAsync(new WriteContentRequest { Action = WriteAction.Write, Offset = Offset, Data = UnsafeByteOperations.UnsafeWrap(data) });
            Offset += data.Length;
        }
        catch (RpcException e)
        {
            throw Failure(e);
        }
    }

    /// <summary>Appends the rest and commits; the store compares size and digest.</summary>
    /// <exception cref="PullException">DigestMismatch.</exception>
    public async Task FinishAsync(ReadOnlyMemory<byte> rest, IReadOnlyDictionary<string, string> labels)
    {
        try
        {
            await CommitAsync(rest, labels);
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.FailedPrecondition)
        {
            throw new PullException(PullErrorKind.DigestMismatch, $"blob {_blob.Digest}: the registry sent something else: {e.Status.Detail}", e);
        }
        catch (RpcException e)
        {
            throw Failure(e);
        }
    }

    /// <summary>Closes the stream; the store lets go of the lock.</summary>
    public void Dispose()
    {
        _call.Dispose();
        _either.Dispose();
        _limit.Dispose();
    }

    private async Task<IngestState> CommitAsync(ReadOnlyMemory<byte> data, IReadOnlyDictionary<string, string> labels)
    {
        var commit = new WriteContentRequest
        {
            Action = WriteAction.Commit,
            Ref = _ref,
            Offset = Offset, // 0 would truncate what is there
            Total = _blob.Size,
            Expected = _blob.Digest,
            Data = UnsafeByteOperations.UnsafeWrap(data),
        };
        foreach (var (key, value) in labels) commit.Labels[key] = value;
        try
        {
            await SendAsync(commit);
            Arm(_client.Options.Limits.Long);
            await SendingAsync(_call.RequestStream.CompleteAsync);
            while (await _call.ResponseStream.MoveNext(CancellationToken.None)) // it answers twice
            {
            }
            return IngestState.Open;
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.AlreadyExists)
        {
            return IngestState.Exists;
        }
    }

    private async Task<WriteContentResponse> ExchangeAsync(WriteContentRequest request)
    {
        await SendAsync(request);
        await AnswerAsync();
        return _call.ResponseStream.Current;
    }

    private async Task SendAsync(WriteContentRequest request)
    {
        if (_unanswered) await AnswerAsync();
        Arm(_client.Options.CallTimeout);
        await SendingAsync(() => _call.RequestStream.WriteAsync(request));
        _unanswered = true;
    }

    /// <summary>A broken connection surfaces here as whatever the transport threw; the call's status is the better word.</summary>
    private async Task SendingAsync(Func<Task> send)
    {
        try
        {
            await send();
        }
        catch (OperationCanceledException e) when (!_cancellation.IsCancellationRequested)
        {
            throw new RpcException(new Grpc.Core.Status(StatusCode.Cancelled, e.Message, e));
        }
        catch (Exception e) when (e is InvalidOperationException or RpcException or IOException or HttpRequestException)
        {
            await AnswerAsync();
            throw new RpcException(new Grpc.Core.Status(StatusCode.Unavailable, e.Message, e));
        }
    }

    private async Task AnswerAsync()
    {
        Arm(_client.Options.CallTimeout);
        if (!await _call.ResponseStream.MoveNext(CancellationToken.None)) throw new RpcException(new Grpc.Core.Status(StatusCode.Unavailable, "the content store closed the stream"));
        _unanswered = false;
    }

    private void Arm(TimeSpan limit) => _limit.CancelAfter(limit);

    private Exception Failure(RpcException error)
    {
        var what = $"write blob {_blob.Digest}";
        return error.StatusCode == StatusCode.Cancelled && !_cancellation.IsCancellationRequested && _limit.IsCancellationRequested
            ? new ContainerdException(ContainerdError.Timeout, $"{what}: containerd does not answer", error) { RpcStatus = nameof(StatusCode.DeadlineExceeded) }
            : _client.Failure(error, what, _cancellation);
    }
}
