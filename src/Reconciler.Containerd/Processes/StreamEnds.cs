using System.IO.Pipelines;

namespace Reconciler.Containerd;

/// <summary>What the input of a process comes from.</summary>
/// <param name="Stream">Read to its end.</param>
/// <param name="EndAsync">Called when nothing is read any more.</param>
internal sealed record InputSource(Stream Stream, Func<ValueTask> EndAsync)
{
    public static InputSource? Of(Stream? stream) => stream is null ? null : new InputSource(stream, () => ValueTask.CompletedTask);

    public static InputSource? Of(PipeReader? pipe) => pipe is null ? null : new InputSource(pipe.AsStream(leaveOpen: true), () => pipe.CompleteAsync());
}

/// <summary>What takes an output of a process.</summary>
/// <param name="WriteAsync">Gets one piece after the other; the process waits for it.</param>
/// <param name="EndAsync">Called at the end, with the reason if some output is missing.</param>
internal sealed record OutputTarget(
    Func<ReadOnlyMemory<byte>, CancellationToken, ValueTask> WriteAsync, Func<Exception?, CancellationToken, ValueTask> EndAsync)
{
    public static OutputTarget? Of(Stream? stream) => stream is null
        ? null
        : new OutputTarget(stream.WriteAsync, (why, end) => why is null ? new ValueTask(stream.FlushAsync(end)) : ValueTask.CompletedTask);

    public static OutputTarget? Of(PipeWriter? pipe) => pipe is null
        ? null
        : new OutputTarget(async (bytes, end) => await pipe.WriteAsync(bytes, end), (why, _) => pipe.CompleteAsync(why));

    public static OutputTarget? Of(Func<ReadOnlyMemory<byte>, CancellationToken, ValueTask>? callback) => callback is null
        ? null
        : new OutputTarget(callback, (_, _) => ValueTask.CompletedTask);
}
