using System.Net.Sockets;
using Grpc.Core;

namespace Reconciler.Containerd;

/// <summary>gRPC statuses as <see cref="ContainerdException"/>.</summary>
internal static class Errors
{
    /// <param name="error">What the call threw.</param>
    /// <param name="what">The failed operation, as <c>create task x</c>.</param>
    /// <param name="notFound">The meaning of NOT_FOUND here.</param>
    public static ContainerdException Map(RpcException error, string what, ContainerdError? notFound = null)
    {
        var lost = IsConnectionLost(error);
        var status = lost ? StatusCode.Unavailable : IsDeadline(error) ? StatusCode.DeadlineExceeded : error.StatusCode;
        return new ContainerdException($"{what}: {Text(error)}", error)
        {
            Code = status switch
            {
                StatusCode.NotFound => notFound,
                StatusCode.DeadlineExceeded => ContainerdError.Timeout,
                _ => null,
            },
            // "ref ... locked" shares the status of a lost connection and is not one.
            RpcStatus = status == StatusCode.Unavailable && !lost ? "Locked" : status.ToString(),
        };
    }

    /// <summary>The daemon could not be reached or went away during the call.</summary>
    public static bool IsConnectionLost(RpcException error)
    {
        if (error.StatusCode == StatusCode.Unavailable) return !IsLocked(error);
        // Made by the client from a broken transport, whatever status it chose for it.
        return error.Status.DebugException is HttpRequestException or IOException or SocketException
            && error.StatusCode is not (StatusCode.DeadlineExceeded or StatusCode.Cancelled or StatusCode.ResourceExhausted);
    }

    /// <summary>Another writer holds the content reference.</summary>
    public static bool IsLocked(RpcException error) =>
        error.StatusCode == StatusCode.Unavailable
        && error.Status.Detail.Contains(" locked", StringComparison.Ordinal);

    /// <summary>The shim went away during the call.</summary>
    public static bool IsShimGone(RpcException error) => error.Status.Detail.Contains("ttrpc: closed", StringComparison.Ordinal);

    /// <summary>The deadline travels to the shim, and where it strikes there first the daemon passes on the text only.</summary>
    public static bool IsDeadline(RpcException error) =>
        error.StatusCode == StatusCode.DeadlineExceeded || IsReset(error)
        || (error.StatusCode == StatusCode.Unknown && error.Status.Detail.Contains("context deadline exceeded", StringComparison.Ordinal));

    /// <summary>2.x cancels the stream at the deadline, which may come before this side's own clock strikes. A caller's cancel is no HTTP error.</summary>
    private static bool IsReset(RpcException error) => error is { StatusCode: StatusCode.Cancelled, Status.DebugException: HttpRequestException };

    /// <summary>What failed, for a person: the client's own words for a broken transport speak of an address that nobody gave.</summary>
    public static string Text(RpcException error)
    {
        if (IsConnectionLost(error) && error.Status.DebugException is { } cause) return Connection(cause);
        if (error is { StatusCode: StatusCode.DeadlineExceeded, Status.DebugException: not null } || IsReset(error)) return "no answer within the limit";
        var detail = error.Status.Detail;
        // 1.6 and 1.7 repeat the status at the end of the text.
        if (error.StatusCode == StatusCode.Unknown && detail.EndsWith(": unknown", StringComparison.Ordinal)) detail = detail[..^": unknown".Length];
        if (error.StatusCode == StatusCode.Unimplemented) return $"this containerd does not offer it, by its version or its disabled plugins: {detail}";
        return detail.Length > 0 ? detail : error.StatusCode.ToString();
    }

    private static string Connection(Exception cause)
    {
        for (var inner = cause; inner is not null; inner = inner.InnerException)
        {
            if (inner is SocketException socket)
            {
                return socket.SocketErrorCode switch
                {
                    SocketError.AddressNotAvailable => "the socket does not exist",
                    SocketError.ConnectionRefused => "nobody listens on the socket",
                    SocketError.AccessDenied => "permission denied on the socket",
                    _ => socket.Message,
                };
            }
        }
        return "the connection to containerd broke";
    }
}
