using Microsoft.Extensions.Logging;
using Reconciler.Containerd;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Core.Ports;

namespace Reconciler.Agent.Runtime;

/// <content>The verbs on images.</content>
public sealed partial class ContainerdRuntime
{
    /// <inheritdoc/>
    public Task<PulledImage> PullImageAsync(NodeAction.PullImage action, CancellationToken cancellation) => GuardAsync($"pull {action.Reference}", async () =>
    {
        var kept = await KeepDigestAsync(action.Reference, cancellation);
        try
        {
            var image = ToActual(await FetchAsync(action.Reference, cancellation));
            _view.PutImage(image, unpacked: true);
            if (kept is not null && kept.Digest == image.Digest) await ForgetAsync(kept.Reference, cancellation);
            return new PulledImage(image, null);
        }
        catch (ContainerdException e)
        {
            var error = RuntimeErrors.OfPull(e, $"pull {action.Reference}");
            if (error.Reason != FailureReason.RegistryUnreachable || action.PresentDigest is not { } digest) throw error;
            return new PulledImage(_view.ImageWith(digest, action.Reference) ?? throw error, error.Message);
        }
    }, cancellation);

    /// <inheritdoc/>
    public Task RemoveImageAsync(NodeAction.RemoveImage action, CancellationToken cancellation) => GuardAsync($"remove image {action.Reference}", async () =>
    {
        var image = _view.Image(action.Reference) ?? throw new RuntimeException(RuntimeErrorKind.NotFound, "NotFound", $"{action.Reference} is gone");
        if (!image.Managed) throw new RuntimeException(RuntimeErrorKind.Refused, FailureReason.NotManaged, $"{action.Reference} was not fetched by the agent");
        if (!await _client.IsRegistryReachableAsync(action.Reference, cancellation))
            throw new RuntimeException(RuntimeErrorKind.Failed, FailureReason.RegistryUnreachable, $"{action.Reference} stays while its registry does not answer");
        await ForgetAsync(action.Reference, cancellation);
        return true;
    }, cancellation);

    /// <inheritdoc/>
    public Task MarkImageAsync(NodeAction.MarkImage action, CancellationToken cancellation) => GuardAsync($"mark image {action.Reference}", async () =>
    {
        var image = _view.Image(action.Reference) ?? throw new RuntimeException(RuntimeErrorKind.NotFound, "NotFound", $"{action.Reference} is gone");
        var labels = new Dictionary<string, string> { [Labels.UnusedSince] = action.UnusedSince is { } since ? Labels.Text(since) : "" };
        if (action.UnusedSince is not null) labels[Labels.Resolved] = ""; // once it is declared again, its tag is asked for again
        await _client.UpdateImageLabelsAsync(action.Reference, labels, cancellation);
        _view.PutImage(image with { UnusedSince = action.UnusedSince, Resolved = image.Resolved && action.UnusedSince is null }, unpacked: false);
        return true;
    }, cancellation);

    private async Task<ImageInfo> FetchAsync(string reference, CancellationToken cancellation)
    {
        var present = _view.Image(reference);
        var labels = new Dictionary<string, string> { [Labels.Resolved] = "true", [Labels.UnusedSince] = "" };
        // A record that someone else made stays theirs: what the agent did not fetch it does not remove.
        if (present is null or { Managed: true }) labels[Labels.ImageManagedBy] = Labels.Manager;
        using var board = _pulls.Begin(reference);
        var (began, outcome) = (_time.GetTimestamp(), "Cancelled");
        try
        {
            var image = await _client.PullImageAsync(reference, board, new PullOptions { Labels = labels }, cancellation);
            outcome = "Pulled";
            return image;
        }
        catch (ContainerdException e)
        {
            outcome = RuntimeErrors.OfPull(e, "").Reason;
            throw;
        }
        finally
        {
            Metrics.Pulled(board.Fetched, _time.GetElapsedTime(began), outcome);
        }
    }

    /// <summary>A pull may move the tag; containers that run the digest behind it now must find it again after a crash.</summary>
    /// <returns>The record made for it; null = none was needed.</returns>
    private async Task<ActualImage?> KeepDigestAsync(string reference, CancellationToken cancellation)
    {
        if (reference.Contains('@') || _view.Image(reference) is not { } present) return null;
        var name = $"{Repository(reference)}@{present.Digest}";
        if (_view.Image(name) is not null || _view.Entries(entry => entry.ImageDigest == present.Digest).Count == 0) return null;
        try
        {
            var kept = ToActual(await _client.TagImageAsync(reference, name, new Dictionary<string, string> { [Labels.ImageManagedBy] = Labels.Manager }, cancellation));
            _view.PutImage(kept, unpacked: false);
            return kept;
        }
        catch (ContainerdException e) when (e.IsNotfound)
        {
            return null; // someone removed it; the pull brings what there is now
        }
    }

    private async Task ForgetAsync(string name, CancellationToken cancellation)
    {
        try
        {
            await _client.RemoveImageAsync(name, synchronous: false, cancellation);
        }
        catch (ContainerdException e) when (e.IsNotfound)
        {
        }
        _view.RemoveImage(name);
    }

    /// <summary>The reference without its tag.</summary>
    private static string Repository(string reference)
    {
        var colon = reference.LastIndexOf(':');
        return colon > reference.LastIndexOf('/') ? reference[..colon] : reference;
    }

    private static ActualImage ToActual(ImageInfo image) => new()
    {
        Reference = image.Name,
        Digest = image.Digest,
        Size = image.Size,
        Managed = Labels.IsManagedImage(image.Labels),
        Resolved = image.Labels.ContainsKey(Labels.Resolved),
        UnusedSince = Labels.Time(image.Labels, Labels.UnusedSince),
    };
}
