using System.Collections.Concurrent;
using System.Diagnostics;
using Grpc.Core;
using Grpc.Core.Interceptors;

namespace Reconciler.Containerd;

/// <summary>Tells of each unary call, and makes it a span where somebody listens for spans.</summary>
internal sealed class CallObserver(Action<EndedCall>? ended, TimeProvider time) : Interceptor
{
    private const string Wait = "Tasks.Wait";

    private static readonly ActivitySource Source = new(ContainerdClient.ActivitySourceName);

    /// <summary>By the generated method object, of which there is one each.</summary>
    private static readonly ConcurrentDictionary<IMethod, string> Names = new(ReferenceEqualityComparer.Instance);

    public override AsyncUnaryCall<TResponse> AsyncUnaryCall<TRequest, TResponse>(
        TRequest request, ClientInterceptorContext<TRequest, TResponse> context, AsyncUnaryCallContinuation<TRequest, TResponse> continuation)
    {
        if (ended is null && !Source.HasListeners()) return continuation(request, context);
        var name = Names.GetOrAdd(context.Method, static method => $"{method.ServiceName.Split('.')[^1]}.{method.Name}");
        if (name == Wait) return continuation(request, context);
        var began = time.GetTimestamp();
        var before = Activity.Current;
        var span = Source.StartActivity(name, ActivityKind.Client);
        AsyncUnaryCall<TResponse> call;
        try
        {
            call = continuation(request, context);
        }
        finally
        {
            Activity.Current = before; // the caller goes on in its own span while the call is under way
        }
        return new AsyncUnaryCall<TResponse>(
            ObserveAsync(call.ResponseAsync, name, began, span), call.ResponseHeadersAsync, call.GetStatus, call.GetTrailers, call.Dispose);
    }

    private async Task<T> ObserveAsync<T>(Task<T> response, string name, long began, Activity? span)
    {
        var status = StatusCode.Unknown;
        try
        {
            var answer = await response;
            status = StatusCode.OK;
            return answer;
        }
        catch (RpcException e)
        {
            status = e.StatusCode;
            throw;
        }
        finally
        {
            if (span is not null) End(span, name, status);
            ended?.Invoke(new EndedCall(name, status.ToString(), time.GetElapsedTime(began)));
        }
    }

    /// <summary>Attributes are those of OpenTelemetry's conventions for RPC. The detail of an error may quote a request, and stays out.</summary>
    private static void End(Activity span, string name, StatusCode status)
    {
        var dot = name.IndexOf('.', StringComparison.Ordinal);
        span.SetTag("rpc.system", "grpc").SetTag("rpc.service", name[..dot]).SetTag("rpc.method", name[(dot + 1)..]).SetTag("rpc.grpc.status_code", (int)status);
        if (status != StatusCode.OK) span.SetStatus(ActivityStatusCode.Error, status.ToString());
        span.Dispose();
    }
}
