namespace Reconciler.Containerd.Tests.Processes;

/// <summary>Takes nothing until it is released, or fails; gives what it has and then nothing, not even its end.</summary>
internal sealed class HeldStream : MemoryStream
{
    private readonly TaskCompletionSource _reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task Reached => _reached.Task;

    public Exception? Failure { get; init; }

    public byte[] Content => ToArray();

    public void Release() => _released.TrySetResult();

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var count = Read(buffer.Span);
        if (count == 0) await _released.Task.WaitAsync(CancellationToken.None);
        return count;
    }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        _reached.TrySetResult();
        if (Failure is not null) throw Failure;
        await _released.Task.WaitAsync(cancellationToken);
        Write(buffer.Span);
    }
}
