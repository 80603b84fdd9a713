using System.Collections.Concurrent;
using Grpc.Core;
using Grpc.Core.Interceptors;

namespace Reconciler.Containerd.Tests;

/// <summary>The calls of a client in the order in which they were begun.</summary>
internal sealed class RpcRecorder : Interceptor
{
    private readonly ConcurrentQueue<(string Method, object? Request, Metadata? Headers)> _calls = new();

    public IReadOnlyList<(string Method, object? Request, Metadata? Headers)> Calls => [.. _calls];

    private readonly ConcurrentDictionary<string, byte> _answered = new();

    /// <summary>As <c>Tasks.Create</c>.</summary>
    public IReadOnlyList<string> Methods => [.. _calls.Select(call => call.Method)];

    public IEnumerable<T> Requests<T>() => _calls.Select(call => call.Request).OfType<T>();

    /// <summary>Methods of which a unary call succeeded.</summary>
    public IReadOnlyCollection<string> Answered => [.. _answered.Keys];

    public void Clear() => _calls.Clear();

    /// <summary>Called before a call is sent; what it throws the call throws.</summary>
    public Action<string>? Before { get; set; }

    /// <summary>Makes every call of one method fail before it is sent.</summary>
    public void Fail(string method, StatusCode status = StatusCode.Unknown) => Before = name =>
    {
        if (name == method) throw new RpcException(new Status(status, "injected"));
    };

    public override AsyncUnaryCall<TResponse> AsyncUnaryCall<TRequest, TResponse>(
        TRequest request, ClientInterceptorContext<TRequest, TResponse> context, AsyncUnaryCallContinuation<TRequest, TResponse> continuation)
    {
        var method = Note(context, request);
        var call = continuation(request, context);
        return new AsyncUnaryCall<TResponse>(AnswerAsync(call.ResponseAsync, method), call.ResponseHeadersAsync, call.GetStatus, call.GetTrailers, call.Dispose);
    }

    public override AsyncServerStreamingCall<TResponse> AsyncServerStreamingCall<TRequest, TResponse>(
        TRequest request, ClientInterceptorContext<TRequest, TResponse> context, AsyncServerStreamingCallContinuation<TRequest, TResponse> continuation)
    {
        Note(context, request);
        return continuation(request, context);
    }

    public override AsyncDuplexStreamingCall<TRequest, TResponse> AsyncDuplexStreamingCall<TRequest, TResponse>(
        ClientInterceptorContext<TRequest, TResponse> context, AsyncDuplexStreamingCallContinuation<TRequest, TResponse> continuation)
    {
        Note(context, null);
        return continuation(context);
    }

    private async Task<TResponse> AnswerAsync<TResponse>(Task<TResponse> response, string method)
    {
        var answer = await response;
        _answered[method] = 0;
        return answer;
    }

    private string Note<TRequest, TResponse>(ClientInterceptorContext<TRequest, TResponse> context, object? request)
        where TRequest : class
        where TResponse : class
    {
        var method = $"{context.Method.ServiceName.Split('.')[^1]}.{context.Method.Name}";
        _calls.Enqueue((method, request, context.Options.Headers));
        Before?.Invoke(method);
        return method;
    }
}
