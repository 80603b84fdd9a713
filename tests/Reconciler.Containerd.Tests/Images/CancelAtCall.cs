using Grpc.Core;
using Grpc.Core.Interceptors;

namespace Reconciler.Containerd.Tests.Images;

/// <summary>Cancels a source when the n-th call begins.</summary>
internal sealed class CancelAtCall : Interceptor
{
    private int _left = int.MaxValue;
    private CancellationTokenSource? _source;

    /// <summary>True = the call came.</summary>
    public bool Reached => Volatile.Read(ref _left) <= 0;

    public void Arm(int call, CancellationTokenSource source)
    {
        _source = source;
        Volatile.Write(ref _left, call);
    }

    public override AsyncUnaryCall<TResponse> AsyncUnaryCall<TRequest, TResponse>(
        TRequest request, ClientInterceptorContext<TRequest, TResponse> context, AsyncUnaryCallContinuation<TRequest, TResponse> continuation)
    {
        var call = continuation(request, context);
        Count();
        return call;
    }

    public override AsyncServerStreamingCall<TResponse> AsyncServerStreamingCall<TRequest, TResponse>(
        TRequest request, ClientInterceptorContext<TRequest, TResponse> context, AsyncServerStreamingCallContinuation<TRequest, TResponse> continuation)
    {
        var call = continuation(request, context);
        Count();
        return call;
    }

    public override AsyncDuplexStreamingCall<TRequest, TResponse> AsyncDuplexStreamingCall<TRequest, TResponse>(
        ClientInterceptorContext<TRequest, TResponse> context, AsyncDuplexStreamingCallContinuation<TRequest, TResponse> continuation)
    {
        var call = continuation(context);
        Count();
        return call;
    }

    private void Count()
    {
        if (Interlocked.Decrement(ref _left) == 0) _source!.Cancel();
    }
}
