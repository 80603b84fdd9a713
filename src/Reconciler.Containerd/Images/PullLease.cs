using System.Globalization;
using Reconciler.Containerd.Api.Leases;

namespace Reconciler.Containerd.Images;

/// <summary>Keeps what a pull makes until the image record does. Expires by itself a day after a client that was killed.</summary>
internal sealed class PullLease : IAsyncDisposable
{
    private static readonly TimeSpan Life = TimeSpan.FromHours(24);

    private readonly ContainerdClient _client;

    private PullLease(ContainerdClient client) => _client = client;

    public string Id { get; } = $"reconciler-pull-{Guid.NewGuid():N}";

    /// <summary>Leases.Create, never cut: a lease made unseen would stay.</summary>
    public static async Task<PullLease> CreateAsync(ContainerdClient client)
    {
        var lease = new PullLease(client);
        var request = new CreateRequest { Id = lease.Id };
        request.Labels["containerd.io/gc.expire"] = (client.Options.TimeProvider.GetUtcNow() + Life).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
        try
        {
            await client.CallAsync(options => client.Services.Leases.CreateAsync(request, options), "create lease", CancellationToken.None);
            return lease;
        }
        catch
        {
            await lease.DeleteAsync(inDoubt: true); // the daemon may have made it, or be about to
            throw;
        }
    }

    /// <summary>Leases.AddResource for a snapshot that was there before; the daemon does not check that it is.</summary>
    public async Task AddSnapshotAsync(string snapshotter, string name)
    {
        var request = new AddResourceRequest { Id = Id, Resource = new Resource { Id = name, Type = "snapshots/" + snapshotter } };
        await _client.CallAsync(options => _client.Services.Leases.AddResourceAsync(request, options), $"keep snapshot {name}", CancellationToken.None);
    }

    public async ValueTask DisposeAsync() => await DeleteAsync(inDoubt: false);

    private Task DeleteAsync(bool inDoubt) =>
        _client.TidyAsync(options => _client.Services.Leases.DeleteAsync(new DeleteRequest { Id = Id }, options).ResponseAsync, $"delete lease {Id}", inDoubt: inDoubt);
}
