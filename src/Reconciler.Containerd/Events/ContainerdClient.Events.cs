using System.Runtime.CompilerServices;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Microsoft.Extensions.Logging;
using Reconciler.Containerd.Api.Events;

namespace Reconciler.Containerd;

/// <content>Events.</content>
public sealed partial class ContainerdClient
{
    private const string MarkTopic = "/reconciler/subscribed";

    /// <summary>How long a new subscription may take to show its own mark.</summary>
    private static readonly TimeSpan MarkLimit = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Events as they happen, without an end (Events.Subscribe). The first element is a <see cref="ContainerdEvent.Gap"/>, given once the
    /// subscription is in force: whoever lists then misses nothing. When the connection breaks it subscribes anew, 100 ms to 3 s after, and gives
    /// another one. To know when it is in force, it publishes an event <c>/reconciler/subscribed</c> and waits for it.
    /// </summary>
    /// <param name="filters">
    /// containerd's filters: alternatives, each with comma-separated conditions, as <c>topic~="^/tasks/",namespace=="x"</c>. Null or none = tasks,
    /// containers and images of the client's namespace.
    /// </param>
    /// <param name="cancellation">Ends it, with an <see cref="OperationCanceledException"/>.</param>
    /// <exception cref="ArgumentException">A filter is malformed.</exception>
    /// <exception cref="ContainerdException">The daemon refuses the filters.</exception>
    /// <exception cref="ObjectDisposedException">The client was closed.</exception>
    public IAsyncEnumerable<ContainerdEvent> EventsAsync(IReadOnlyList<string>? filters = null, CancellationToken cancellation = default)
    {
        Filters.Require(filters);
        return ReadEventsAsync(filters, cancellation);
    }

    private async IAsyncEnumerable<ContainerdEvent> ReadEventsAsync(
        IReadOnlyList<string>? filters, [EnumeratorCancellation] CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var wanted = filters is { Count: > 0 } ? filters : [$"topic~=\"^/(tasks|containers|images)/\",namespace==\"{Options.Namespace}\""];
        var reason = "subscribed";
        var delay = FirstDelay;
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _closing.Token);
        while (true)
        {
            var subscription = new Subscription(this, wanted, reason);
            await using (subscription)
            {
                while (await subscription.NextAsync(end.Token, cancellation) is { } next)
                {
                    delay = FirstDelay;
                    yield return next;
                }
            }
            reason = subscription.Broken;
            LogEventsBroke(reason);
            await PauseAsync(delay, end.Token, cancellation);
            delay = Longer(delay);
        }
    }

    private async Task PauseAsync(TimeSpan delay, CancellationToken end, CancellationToken cancellation)
    {
        try
        {
            await Task.Delay(delay, Time, end);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new ObjectDisposedException(nameof(ContainerdClient));
        }
    }

    [LoggerMessage(4, LogLevel.Information, "the event stream broke and is taken up again: {Reason}")]
    private partial void LogEventsBroke(string reason);

    /// <summary>One Subscribe call, from its mark to its end.</summary>
    private sealed class Subscription(ContainerdClient client, IReadOnlyList<string> filters, string reason) : IAsyncDisposable
    {
        private readonly string _mark = Guid.NewGuid().ToString("N");
        private readonly CancellationTokenSource _stop = new();
        private AsyncServerStreamingCall<Envelope>? _call;
        private Task _marking = Task.CompletedTask;
        private bool _inForce;

        /// <summary>Why it ended.</summary>
        public string Broken { get; private set; } = "";

        /// <returns>Null = it broke.</returns>
        public async Task<ContainerdEvent?> NextAsync(CancellationToken end, CancellationToken cancellation)
        {
            ObjectDisposedException.ThrowIf(client._disposed != 0, client);
            try
            {
                return _inForce ? await ReadAsync(end) : await OpenAsync(end);
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.Cancelled && end.IsCancellationRequested)
            {
                cancellation.ThrowIfCancellationRequested();
                throw new ObjectDisposedException(nameof(ContainerdClient), e);
            }
            catch (RpcException e) when (IsRefused(e))
            {
                throw Errors.Map(e, "subscribe to events");
            }
            catch (RpcException e)
            {
                Broken = Errors.Map(e, "events").Message;
                return null;
            }
            catch (OperationCanceledException) when (end.IsCancellationRequested)
            {
                cancellation.ThrowIfCancellationRequested();
                throw new ObjectDisposedException(nameof(ContainerdClient));
            }
        }

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await _marking.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            _call?.Dispose();
            _stop.Dispose();
        }

        /// <summary>Subscribes and reads up to the own mark. What comes before it is covered by the list that follows.</summary>
        private async Task<ContainerdEvent?> OpenAsync(CancellationToken end)
        {
            var request = new SubscribeRequest();
            request.Filters.AddRange(filters);
            request.Filters.Add($"topic==\"{MarkTopic}\",namespace==\"{client.Options.Namespace}\"");
            _call = client.Services.Events.Subscribe(request, new CallOptions(client.Headers(null), cancellationToken: end));
            _marking = MarkAsync();
            using var limit = new CancellationTokenSource(MarkLimit, client.Time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, end);
            try
            {
                while (await _call.ResponseStream.MoveNext(either.Token))
                {
                    if (!IsMark(_call.ResponseStream.Current)) continue;
                    await _stop.CancelAsync();
                    _inForce = true;
                    return new ContainerdEvent.Gap(reason) { Timestamp = client.Time.GetUtcNow(), Namespace = client.Options.Namespace };
                }
                Broken = "the daemon ended the stream";
            }
            catch (Exception e) when (limit.IsCancellationRequested && !end.IsCancellationRequested && e is RpcException or OperationCanceledException)
            {
                Broken = $"not subscribed within {MarkLimit}";
            }
            return null;
        }

        private async Task<ContainerdEvent?> ReadAsync(CancellationToken end)
        {
            while (await _call!.ResponseStream.MoveNext(end))
                if (_call.ResponseStream.Current.Topic != MarkTopic) return EventDecoder.Decode(_call.ResponseStream.Current);
            Broken = "the daemon ended the stream";
            return null;
        }

        /// <summary>Nothing tells when a subscription is in force, so the mark is repeated until it comes back.</summary>
        private async Task MarkAsync()
        {
            var delay = TimeSpan.FromMilliseconds(5);
            var request = new PublishRequest
            {
                Topic = MarkTopic,
                Event = new Any { TypeUrl = "google.protobuf.StringValue", Value = Google.Protobuf.MessageExtensions.ToByteString(new StringValue { Value = _mark }) },
            };
            while (!_stop.IsCancellationRequested)
            {
                try
                {
                    await client.Services.Events.PublishAsync(request, client.Call(_stop.Token));
                }
                catch (RpcException)
                {
                    return; // the stream itself says what is wrong
                }
                await Task.Delay(delay, client.Time, _stop.Token);
                delay = Longer(delay);
            }
        }

        private bool IsMark(Envelope envelope)
        {
            if (envelope.Topic != MarkTopic || envelope.Event is null) return false;
            try
            {
                return StringValue.Parser.ParseFrom(envelope.Event.Value).Value == _mark;
            }
            catch (Google.Protobuf.InvalidProtocolBufferException)
            {
                return false;
            }
        }

        private static bool IsRefused(RpcException error) =>
            error.StatusCode == StatusCode.InvalidArgument || error.Status.Detail.Contains("subscription error", StringComparison.Ordinal);
    }
}
