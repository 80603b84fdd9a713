using Reconciler.Containerd.Api.Images;
using Reconciler.Containerd.Images;

namespace Reconciler.Containerd;

/// <content>Pulls.</content>
public sealed partial class ContainerdClient
{
    private readonly Lock _pullLock = new();
    private PullShared? _pulls;
    private bool _pullsClosed;

    /// <summary>
    /// Fetches an image from its registry into the content store, unpacks it, and then records it (Leases, Content.Write, Snapshots, Diff.Apply, Images.Create or Update).
    /// What is there already is not fetched, and what broke off is resumed. Equal pulls that run at the same time are one.
    /// Cancelling ends the waiting within a second; a pull that nobody waits for any more is ended and leaves no lease and no snapshot.
    /// </summary>
    /// <param name="reference">Any reference; short names mean what they mean to Docker.</param>
    /// <param name="progress">Gets each part that changed, at most every 100 ms, and the last state before this returns. Calls come one at a time.</param>
    /// <param name="options">Null = the defaults.</param>
    /// <param name="cancellation">Ends the waiting.</param>
    /// <exception cref="ArgumentException">The reference or the platform is malformed; the message names the rule.</exception>
    /// <exception cref="PullException">The registry or the image is the cause, or the disk is full.</exception>
    /// <exception cref="ContainerdException">containerd is the cause.</exception>
    public Task<ImageInfo> PullImageAsync(
        string reference, IProgress<ProgressInfo>? progress = null, PullOptions? options = null, CancellationToken cancellation = default)
    {
        var request = Request(reference, options);
        return PullAsync(request, progress is null ? null : new ChangedItems(progress).Show, cancellation);
    }

    /// <summary>
    /// As the other form, with the progress as one JSON array in <paramref name="json"/>: each element is a frame, itself an array of objects with the members of
    /// <see cref="ProgressInfo"/>. A failed pull has a last frame of one item with Code 500 and ErrorMessage, and throws. The stream is not closed; a write that fails ends the pull.
    /// </summary>
    /// <param name="reference">Any reference; short names mean what they mean to Docker.</param>
    /// <param name="json">Written to, not closed. A slow reader misses frames, not the last one.</param>
    /// <param name="options">Null = the defaults.</param>
    /// <param name="cancellation">Ends the waiting.</param>
    /// <exception cref="ArgumentException">The reference or the platform is malformed; the message names the rule.</exception>
    /// <exception cref="PullException">The registry or the image is the cause, or the disk is full.</exception>
    /// <exception cref="ContainerdException">containerd is the cause.</exception>
    /// <exception cref="IOException">The stream cannot be written to.</exception>
    public async Task<ImageInfo> PullImageAsync(string reference, Stream json, PullOptions? options = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(json);
        if (!json.CanWrite) throw new ArgumentException("it cannot be written", nameof(json));
        var request = Request(reference, options);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var frames = new ProgressJson(json, Time);
        ContainerdException? failure = null;
        var writing = WriteAsync();
        try
        {
            var image = await PullAsync(request, frames.Show, stop.Token);
            await frames.EndAsync(writing);
            return image;
        }
        catch (ContainerdException e)
        {
            failure = e;
            await Task.WhenAny(frames.EndAsync(writing)); // the pull's error is the one that counts
            throw;
        }
        catch (Exception e) when (e is ObjectDisposedException || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            await frames.EndAsync(writing); // throws what ended the pull, if it was the stream
            throw;
        }
        finally
        {
            await stop.CancelAsync();
        }

        async Task WriteAsync()
        {
            try
            {
                await frames.RunAsync(() => failure is null ? null : new ProgressInfo("", "", 0, 0, default, default, 500, failure.Message), stop.Token);
            }
            catch
            {
                await stop.CancelAsync();
                throw;
            }
        }
    }

    /// <summary>Whether the registry of a reference, or a mirror of it, answers at all; logins do not matter.</summary>
    /// <param name="reference">Any reference.</param>
    /// <param name="cancellation">Ends the call.</param>
    /// <exception cref="ArgumentException">The reference is malformed.</exception>
    public async Task<bool> IsRegistryReachableAsync(string reference, CancellationToken cancellation = default)
    {
        var pulls = Pulls();
        var parsed = ImageReference.Parse(reference);
        try
        {
            using var hosts = await pulls.HostsAsync(parsed, cancellation);
            return await hosts.IsReachableAsync(cancellation);
        }
        catch (PullException)
        {
            return false;
        }
    }

    /// <summary>A whole blob of at most 8 MiB (Content.Read); null = it is not there.</summary>
    /// <exception cref="FormatException">It is larger.</exception>
    internal Task<byte[]?> ReadContentAsync(string digest, CancellationToken cancellation) => ImageReader.ReadAsync(digest, cancellation);

    private async Task<ImageInfo> PullAsync(PullRequest request, Action<IReadOnlyList<ProgressInfo>>? listener, CancellationToken cancellation)
    {
        var pulls = Pulls();
        cancellation.ThrowIfCancellationRequested();
        try
        {
            var image = await pulls.Flights.JoinAsync(
                request.Key, request.Reference.Name, listener, (progress, stop) => new ImagePull(pulls, request, progress).RunAsync(stop), cancellation);
            return await InfoAsync(image, cancellation);
        }
        catch (OperationCanceledException e) when (!cancellation.IsCancellationRequested)
        {
            throw new ObjectDisposedException("the client was closed during the pull", e);
        }
    }

    private static PullRequest Request(string reference, PullOptions? options)
    {
        options ??= new PullOptions();
        ArgumentNullException.ThrowIfNull(options.Labels, nameof(options));
        ContainerLabels.Require(options.Labels);
        return new PullRequest(ImageReference.Parse(reference), options.Platform is { } platform ? Platform.Parse(platform) : null, options);
    }

    private PullShared Pulls()
    {
        lock (_pullLock)
        {
            ObjectDisposedException.ThrowIf(_pullsClosed, this);
            return _pulls ??= new PullShared(this);
        }
    }

    /// <summary>Ends the pulls and waits for their tidying up, at most a minute.</summary>
    private async Task StopPullsAsync()
    {
        PullShared? pulls;
        lock (_pullLock)
        {
            _pullsClosed = true;
            pulls = _pulls;
        }
        if (pulls is not null) await pulls.DisposeAsync();
    }

    private sealed class ChangedItems(IProgress<ProgressInfo> progress)
    {
        private readonly Dictionary<string, ProgressInfo> _told = new(StringComparer.Ordinal);

        public void Show(IReadOnlyList<ProgressInfo> frame)
        {
            foreach (var item in frame)
            {
                if (_told.GetValueOrDefault(item.Ref) == item) continue;
                _told[item.Ref] = item;
                progress.Report(item);
            }
        }
    }
}
