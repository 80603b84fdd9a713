using System.Threading.Channels;
using Reconciler.Agent.State;
using Reconciler.Containerd;

namespace Reconciler.Agent.Commands;

/// <summary>Says when a list of the node may have changed: by containerd's events and by writes of state.json; and every 10 s in any case.</summary>
internal sealed class NodeChanges : IAsyncDisposable
{
    private static readonly TimeSpan AtLatest = TimeSpan.FromSeconds(10);

    private readonly Channel<bool> _hints = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly CancellationTokenSource _end = new();
    private readonly TimeProvider _time;
    private readonly FileSystemWatcher? _watcher;
    private readonly Task _following;

    public NodeChanges(ContainerdClient client, string stateDir, TimeProvider time)
    {
        _time = time;
        try
        {
            _watcher = new FileSystemWatcher(stateDir, Path.GetFileName(StateFile.PathIn(stateDir))) { NotifyFilter = NotifyFilters.FileName };
            _watcher.Renamed += (_, _) => Hint();
            _watcher.Created += (_, _) => Hint();
            _watcher.EnableRaisingEvents = true;
        }
        catch (Exception e) when (e is IOException or ArgumentException)
        {
            _watcher?.Dispose(); // no such folder, or no inotify instance left: the rest does
            _watcher = null;
        }
        _following = FollowAsync(client, _end.Token);
    }

    public async Task NextAsync(CancellationToken cancellation)
    {
        using var limit = new CancellationTokenSource(AtLatest, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellation);
        try
        {
            await _hints.Reader.ReadAsync(either.Token);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            // nothing was told: the list says
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        await _following.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _watcher?.Dispose();
        _end.Dispose();
    }

    private async Task FollowAsync(ContainerdClient client, CancellationToken end)
    {
        await foreach (var _ in client.EventsAsync(null, end)) Hint();
    }

    private void Hint() => _hints.Writer.TryWrite(true);
}
