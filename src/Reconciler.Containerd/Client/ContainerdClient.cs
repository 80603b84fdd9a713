using System.Globalization;
using System.Net.Sockets;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Grpc.Core.Interceptors;
using Grpc.Net.Client;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Reconciler.Containerd;

/// <summary>The version of a containerd daemon.</summary>
/// <param name="Version">As built, for example <c>1.6.20~ds1</c> or <c>v2.1.4</c>.</param>
/// <param name="Revision">Its source revision; may be empty.</param>
public sealed record VersionInfo(string Version, string Revision);

/// <summary>The identity of a containerd daemon.</summary>
/// <param name="Uuid">Stays the same over restarts on the same root folder.</param>
/// <param name="Pid">Process id of the daemon; 0 = it does not say.</param>
public sealed record ServerInfo(string Uuid, long Pid);

/// <summary>
/// A connection to one containerd and one of its namespaces. All members may be called at the same time from any thread. A daemon that goes
/// away fails the calls under way; the next call reaches it again once it is back, and watched containers stay watched.
/// </summary>
public sealed partial class ContainerdClient : IAsyncDisposable
{
    /// <summary>Name of the <see cref="System.Diagnostics.ActivitySource"/> with a span for each unary call; without a listener none is made.</summary>
    public const string ActivitySourceName = "Reconciler.Containerd";

    /// <summary>containerd's own limit for a message in either direction.</summary>
    internal const int MaxMessageBytes = 16 * 1024 * 1024;

    private static readonly TimeSpan FirstDelay = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestDelay = TimeSpan.FromSeconds(3);

    private readonly GrpcChannel _channel;
    private readonly Metadata _headers;
    private readonly ILogger _logger;
    private readonly IdLocks _locks;
    private readonly FifoFolder _fifos;
    private readonly CancellationTokenSource _closing = new();
    private int _disposed;

    private ContainerdClient(ContainerdClientOptions options, Interceptor? interceptor)
    {
        Options = options;
        _logger = options.Logger ?? NullLogger.Instance;
        _locks = new IdLocks(options.TimeProvider);
        _fifos = new FifoFolder(options, LogStreamFailed, _closing.Token);
        _channel = GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions
        {
            HttpHandler = UnixSocketHandler(options.SocketPath),
            DisposeHttpClient = true,
            MaxReceiveMessageSize = MaxMessageBytes,
            MaxSendMessageSize = MaxMessageBytes,
        });
        var invoker = _channel.CreateCallInvoker().Intercept(new CallObserver(options.CallEnded, options.TimeProvider));
        Services = new ContainerdServices(interceptor is null ? invoker : invoker.Intercept(interceptor));
        _headers = new Metadata { { "containerd-namespace", options.Namespace } };
    }

    /// <summary>As given to <see cref="ConnectAsync"/>.</summary>
    public ContainerdClientOptions Options { get; }

    internal ContainerdServices Services { get; }

    /// <summary>Nothing of any stream is open, and no thread waits for one.</summary>
    internal bool HasNoStreams => _fifos.IsIdle;

    private TimeProvider Time => Options.TimeProvider;

    /// <summary>Connects and waits until the daemon answers (Version.Version).</summary>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    /// <exception cref="ContainerdException">No answer within <see cref="ContainerdClientOptions.ConnectTimeout"/>: code Timeout.</exception>
    public static Task<ContainerdClient> ConnectAsync(ContainerdClientOptions options, CancellationToken cancellation = default) =>
        OpenAsync(options, null, cancellation);

    /// <param name="options">Checked first.</param>
    /// <param name="interceptor">Sees every call; for tests.</param>
    /// <param name="cancellation">Ends the wait.</param>
    internal static async Task<ContainerdClient> OpenAsync(ContainerdClientOptions options, Interceptor? interceptor, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        var client = new ContainerdClient(options, interceptor);
        try
        {
            await client.WaitUntilAnsweredAsync(cancellation);
            return client;
        }
        catch
        {
            await client.DisposeAsync();
            throw;
        }
    }

    /// <summary>The daemon's version (Version.Version).</summary>
    /// <exception cref="ContainerdException">The call failed.</exception>
    public async Task<VersionInfo> VersionAsync(CancellationToken cancellation = default)
    {
        var answer = await CallAsync(options => Services.Version.VersionAsync(new Empty(), options), "get version", cancellation);
        return new VersionInfo(answer.Version, answer.Revision);
    }

    /// <summary>The daemon's identity (Introspection.Server).</summary>
    /// <exception cref="ContainerdException">The call failed.</exception>
    public async Task<ServerInfo> ServerAsync(CancellationToken cancellation = default)
    {
        var answer = await CallAsync(options => Services.Introspection.ServerAsync(new Empty(), options), "get server", cancellation);
        return new ServerInfo(answer.Uuid, (long)answer.Pid);
    }

    /// <summary>
    /// Closes the connection. Containers run on; pulls are ended, pending waits end without an exit, and no hook is called any more. Streams end: what
    /// was read for a taker and not taken is lost, the rest waits for <see cref="RecoverContainerAsync"/>.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        await StopPullsAsync(); // they still make calls to tidy up
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        await _closing.CancelAsync();
        await StopWatchingAsync();
        await StopTidyingAsync();
        await StopExecsAsync();
        await _fifos.CloseAsync();
        _channel.Dispose();
        _closing.Dispose();
    }

    /// <summary>Metadata of a call: our namespace and, where given, the lease that holds what the call makes.</summary>
    internal Metadata Headers(string? lease) =>
        lease is null ? _headers : new Metadata { _headers[0], { "containerd-lease", lease } };

    /// <summary>Options of a call that ends by itself.</summary>
    /// <param name="cancellation">Cuts the call; none for one that changes something, which would go on unseen in the daemon.</param>
    /// <param name="timeout">Null = <see cref="ContainerdClientOptions.CallTimeout"/>.</param>
    /// <param name="lease">See <see cref="Headers"/>.</param>
    internal CallOptions Call(CancellationToken cancellation, TimeSpan? timeout = null, string? lease = null) =>
        new(Headers(lease), Time.GetUtcNow().UtcDateTime + (timeout ?? Options.CallTimeout), cancellation);

    /// <summary>Makes one unary call and gives its failure a name.</summary>
    internal async Task<T> CallAsync<T>(
        Func<CallOptions, AsyncUnaryCall<T>> call,
        string what,
        CancellationToken cancellation,
        TimeSpan? timeout = null,
        string? lease = null,
        ContainerdError? notFound = null)
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        cancellation.ThrowIfCancellationRequested();
        try
        {
            return await call(Call(cancellation, timeout, lease)).ResponseAsync;
        }
        catch (RpcException error)
        {
            throw Failure(error, what, cancellation, notFound);
        }
    }

    /// <summary>What a failed call throws: the caller's cancellation, the end of this client, or the daemon's error.</summary>
    internal Exception Failure(RpcException error, string what, CancellationToken cancellation, ContainerdError? notFound = null)
    {
        if (error.StatusCode == StatusCode.Cancelled && cancellation.IsCancellationRequested)
            return new OperationCanceledException($"{what}: cancelled", error, cancellation);
        return _disposed != 0 ? new ObjectDisposedException(nameof(ContainerdClient), error) : Errors.Map(error, what, notFound);
    }

    private async Task WaitUntilAnsweredAsync(CancellationToken cancellation)
    {
        using var limit = new CancellationTokenSource(Options.ConnectTimeout, Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellation);
        var delay = FirstDelay;
        ContainerdException? last = null;
        while (true)
        {
            try
            {
                await VersionAsync(either.Token);
                return;
            }
            catch (ContainerdException error)
            {
                last = error;
            }
            catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
            {
                throw NotConnected(last);
            }
            try
            {
                await Task.Delay(delay, Time, either.Token);
            }
            catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
            {
                throw NotConnected(last);
            }
            delay = Longer(delay);
        }
    }

    private ContainerdException NotConnected(ContainerdException? last) =>
        new(
            ContainerdError.Timeout,
            string.Create(CultureInfo.InvariantCulture, $"no answer at {Options.SocketPath} within {Options.ConnectTimeout.TotalSeconds} s{Why(last)}"),
            last)
        {
            RpcStatus = last?.RpcStatus ?? nameof(StatusCode.Unavailable),
        };

    private static string Why(ContainerdException? last) => last?.InnerException is RpcException rpc ? ": " + Errors.Text(rpc) : "";

    private static TimeSpan Longer(TimeSpan delay) => delay * 2 < LongestDelay ? delay * 2 : LongestDelay;

    private static SocketsHttpHandler UnixSocketHandler(string path) => new()
    {
        ConnectCallback = async (_, cancellation) =>
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellation);
                return new NetworkStream(socket, ownsSocket: true);
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        },
        UseProxy = false,
        // No keep-alive pings: grpc-go closes a connection that pings more often than every five minutes.
        KeepAlivePingDelay = Timeout.InfiniteTimeSpan,
        PooledConnectionIdleTimeout = Timeout.InfiniteTimeSpan,
    };
}
