namespace Reconciler.Containerd;

/// <summary>
/// The parent folder of the FIFOs of one client, and what is open in it. Each process has a folder of its own there, named
/// <c>NAMESPACE@CONTAINER@RANDOM</c>: an @ is in no identifier.
/// </summary>
/// <param name="options">Of the client.</param>
/// <param name="failed">Is told what failed in the streams of a container, by its id.</param>
/// <param name="closing">Cancelled when the client is closed.</param>
internal sealed class FifoFolder(ContainerdClientOptions options, Action<Exception, string> failed, CancellationToken closing)
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private readonly Lock _gate = new();
    private readonly HashSet<ProcessStreams> _open = [];
    private FifoPoller? _poller;

    public TimeProvider Time => options.TimeProvider;

    public CancellationToken Closing => closing;

    /// <summary>Nothing is open, and no thread waits.</summary>
    public bool IsIdle
    {
        get
        {
            lock (_gate) return _poller is null;
        }
    }

    /// <summary>The first process of a container has streams open.</summary>
    public bool IsAttached(string containerId)
    {
        lock (_gate) return _open.Any(streams => streams.IsFirst && streams.ContainerId == containerId);
    }

    /// <summary>A folder for a new process.</summary>
    /// <exception cref="IOException">It cannot be made.</exception>
    /// <exception cref="UnauthorizedAccessException">Likewise.</exception>
    public string Make(string containerId)
    {
        var folder = Path.Join(options.FifoDirectory, Prefix(containerId) + Guid.NewGuid().ToString("N"));
        Directory.CreateDirectory(options.FifoDirectory, OwnerOnly);
        Directory.CreateDirectory(folder, OwnerOnly);
        return folder;
    }

    /// <summary>A path lies in a folder that a client made for a process of this container.</summary>
    public bool IsOurs(string path, string containerId) =>
        Path.GetFileName(Path.GetDirectoryName(path)) is { } name && name.StartsWith(Prefix(containerId), StringComparison.Ordinal);

    public FifoPoller Enter(ProcessStreams streams)
    {
        lock (_gate)
        {
            _open.Add(streams);
            return _poller ??= new FifoPoller();
        }
    }

    public void Leave(ProcessStreams streams)
    {
        FifoPoller? last = null;
        lock (_gate)
        {
            _open.Remove(streams);
            if (_open.Count == 0) (last, _poller) = (_poller, null);
        }
        last?.Dispose();
    }

    public void Report(Exception error, string containerId)
    {
        if (!closing.IsCancellationRequested) failed(error, containerId);
    }

    /// <summary>Ends the streams of all processes of an ended container once they are delivered, or their takers take nothing any more.</summary>
    public async Task EndAsync(string containerId, CancellationToken cancellation)
    {
        List<ProcessStreams> its;
        lock (_gate) its = [.. _open.Where(streams => streams.ContainerId == containerId)];
        await Task.WhenAll(its.Select(async streams =>
        {
            if (!await streams.DeliverAsync(cancellation)) await streams.DisposeAsync();
        }));
    }

    /// <summary>Removes what processes of a container left, of whatever client.</summary>
    public void RemoveAll(string containerId)
    {
        try
        {
            foreach (var folder in Directory.EnumerateDirectories(options.FifoDirectory, Prefix(containerId) + "*")) Directory.Delete(folder, recursive: true);
        }
        catch (DirectoryNotFoundException)
        {
            // there is none, or it went meanwhile
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Report(e, containerId);
        }
    }

    /// <summary>Once the client is closing.</summary>
    public Task CloseAsync()
    {
        List<ProcessStreams> all;
        lock (_gate) all = [.. _open];
        return Task.WhenAll(all.Select(streams => streams.EndAsync()));
    }

    private string Prefix(string containerId) => $"{options.Namespace}@{containerId}@";
}
