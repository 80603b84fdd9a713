using System.Globalization;
using Grpc.Core;
using Microsoft.Extensions.Logging;
using Reconciler.Containerd.Api.Leases;

namespace Reconciler.Containerd.Images;

/// <summary>Keeps what a pull makes until the image record does. Expires by itself a day after a client that was killed.</summary>
internal sealed partial class PullLease : IAsyncDisposable
{
    private static readonly TimeSpan Life = TimeSpan.FromHours(24);

    private readonly ContainerdClient _client;
    private readonly ILogger _logger;

    private PullLease(ContainerdClient client, ILogger logger)
    {
        _client = client;
        _logger = logger;
    }

    public string Id { get; } = $"reconciler-pull-{Guid.NewGuid():N}";

    /// <summary>Leases.Create, never cut: a lease made unseen would stay.</summary>
    public static async Task<PullLease> CreateAsync(ContainerdClient client, ILogger logger)
    {
        var lease = new PullLease(client, logger);
        var request = new CreateRequest { Id = lease.Id };
        request.Labels["containerd.io/gc.expire"] = (client.Options.TimeProvider.GetUtcNow() + Life).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
        try
        {
            await client.CallAsync(options => client.Services.Leases.CreateAsync(request, options), "create lease", CancellationToken.None);
            return lease;
        }
        catch
        {
            await lease.DisposeAsync(); // the daemon may have made it before the answer was lost
            throw;
        }
    }

    /// <summary>Leases.AddResource for a snapshot that was there before; the daemon does not check that it is.</summary>
    public async Task AddSnapshotAsync(string snapshotter, string name)
    {
        var request = new AddResourceRequest { Id = Id, Resource = new Resource { Id = name, Type = "snapshots/" + snapshotter } };
        await _client.CallAsync(options => _client.Services.Leases.AddResourceAsync(request, options), $"keep snapshot {name}", CancellationToken.None);
    }

    public async ValueTask DisposeAsync() =>
        await CleanUpAsync(_client, options => _client.Services.Leases.DeleteAsync(new DeleteRequest { Id = Id }, options).ResponseAsync, $"delete lease {Id}", _logger);

    /// <summary>A call that tidies up: with a deadline of its own, also while the client closes; a failure is only logged.</summary>
    internal static async Task CleanUpAsync(ContainerdClient client, Func<CallOptions, Task> call, string what, ILogger logger)
    {
        try
        {
            await call(client.Call(CancellationToken.None, TimeSpan.FromSeconds(30)));
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.NotFound)
        {
        }
        catch (Exception e) when (e is RpcException or ObjectDisposedException or InvalidOperationException)
        {
            LogCleanUp(logger, e, what);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "After a pull: {What} failed; containerd's garbage collection takes it later")]
    private static partial void LogCleanUp(ILogger logger, Exception error, string what);
}
