using Microsoft.Extensions.Logging;
using Reconciler.Containerd.Api.Diff;
using Reconciler.Containerd.Api.Snapshots;
using Reconciler.Containerd.Api.Types;
using Reconciler.Containerd.Registries;

namespace Reconciler.Containerd.Images;

/// <summary>One layer on its way to a snapshot.</summary>
/// <param name="Chain">Name of the snapshot that holds it and all below.</param>
/// <param name="Parent">Name of the snapshot below; empty for the lowest.</param>
internal sealed record LayerStep(Descriptor Layer, string DiffId, string Chain, string Parent);

/// <summary>The parent snapshot vanished: to be begun again from the lowest layer.</summary>
internal sealed class ParentGoneException(string message, Exception inner) : Exception(message, inner);

/// <summary>Turns layers into committed snapshots. Leaves no snapshot behind that is not committed.</summary>
internal sealed partial class Unpacker(PullShared shared, PullLease lease)
{
    private const int MaxTries = 3;
    private static readonly string[] Unreadable = ["archive/tar: ", "gzip: ", "flate: ", "zstd", "magic number", "unexpected EOF", "stream processor"];

    private ContainerdClient Client => shared.Client;

    private string Snapshotter => shared.Client.Options.Snapshotter;

    /// <summary>Whether the layer's snapshot is there; it is then kept for this pull.</summary>
    public async Task<bool> IsUnpackedAsync(LayerStep step, CancellationToken cancellation)
    {
        if (!await Client.IsCommittedAsync(step.Chain, cancellation)) return false;
        await lease.AddSnapshotAsync(Snapshotter, step.Chain);
        return await Client.IsCommittedAsync(step.Chain, cancellation); // it may have been collected before the lease held it
    }

    /// <exception cref="ParentGoneException">The snapshot below vanished.</exception>
    /// <exception cref="PullException">The layer is not what the config says.</exception>
    /// <exception cref="ContainerdException">containerd could not unpack it.</exception>
    public async Task UnpackAsync(LayerStep step, CancellationToken cancellation)
    {
        using var gate = await shared.Chains.EnterAsync(step.Chain, cancellation);
        for (var attempt = 1; ; attempt++)
        {
            if (await IsUnpackedAsync(step, cancellation)) return;
            var key = $"extract-{Guid.NewGuid():N} {step.Chain}";
            if (await PrepareAsync(key, step, cancellation) is not { } mounts)
            {
                if (attempt == MaxTries) throw new ContainerdException($"unpack {step.Layer.Digest}: snapshot {step.Chain} comes and goes");
                continue;
            }
            var committed = false;
            try
            {
                await ApplyAsync(step, mounts, cancellation);
                cancellation.ThrowIfCancellationRequested();
                committed = await CommitAsync(key, step);
            }
            finally
            {
                if (!committed) await RemoveAsync(key);
            }
            return;
        }
    }

    /// <returns>Null = someone else has made the snapshot.</returns>
    private async Task<IReadOnlyList<Mount>?> PrepareAsync(string key, LayerStep step, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var request = new PrepareSnapshotRequest { Snapshotter = Snapshotter, Key = key, Parent = step.Parent };
        request.Labels["containerd.io/snapshot.ref"] = step.Chain;
        try
        {
            // Not to be cut: a snapshot made unseen would stay.
            return (await Client.CallAsync(
                options => Client.Services.Snapshots.PrepareAsync(request, options), $"prepare snapshot for {step.Layer.Digest}", CancellationToken.None, lease: lease.Id)).Mounts;
        }
        catch (ContainerdException e) when (e.RpcStatus == nameof(Grpc.Core.StatusCode.AlreadyExists))
        {
            return null;
        }
        catch (ContainerdException e) when (e.RpcStatus == nameof(Grpc.Core.StatusCode.NotFound) && step.Parent.Length > 0)
        {
            throw new ParentGoneException(e.Message, e);
        }
        catch (ContainerdException e) when (e.IsTimeout || e.IsUnavailable)
        {
            await RemoveAsync(key); // it may have been made before the answer was lost
            throw;
        }
    }

    private async Task ApplyAsync(LayerStep step, IReadOnlyList<Mount> mounts, CancellationToken cancellation)
    {
        var request = new ApplyRequest { Diff = new BlobDescriptor { MediaType = step.Layer.MediaType, Digest = step.Layer.Digest, Size = step.Layer.Size } };
        request.Mounts.AddRange(mounts);
        // May be cut: the daemon stops writing, and the snapshot is removed.
        var answer = await ReadableAsync(step, () => Client.CallAsync(
            options => Client.Services.Diff.ApplyAsync(request, options), $"unpack layer {step.Layer.Digest}", cancellation, Client.Options.Limits.Apply, lease.Id));
        if (answer.Applied.Digest != step.DiffId)
            throw new PullException(PullErrorKind.DigestMismatch, $"layer {step.Layer.Digest}: unpacked it is {answer.Applied.Digest}, the config says {step.DiffId}");
    }

    /// <summary>That the layer's bytes are no archive is the image's fault; containerd has only words for it.</summary>
    private static async Task<ApplyResponse> ReadableAsync(LayerStep step, Func<Task<ApplyResponse>> apply)
    {
        try
        {
            return await apply();
        }
        catch (ContainerdException e) when (Unreadable.Any(words => e.Message.Contains(words, StringComparison.Ordinal)))
        {
            throw new PullException(PullErrorKind.Invalid, $"layer {step.Layer.Digest} of type {RegistryTransport.Shown(step.Layer.MediaType)}: {RegistryTransport.Shown(e.Message)}", e);
        }
    }

    /// <returns>False = someone else was first; the key is still there.</returns>
    private async Task<bool> CommitAsync(string key, LayerStep step)
    {
        var request = new CommitSnapshotRequest { Snapshotter = Snapshotter, Name = step.Chain, Key = key };
        request.Labels["containerd.io/snapshot.ref"] = step.Chain;
        try
        {
            await Client.CallAsync(options => Client.Services.Snapshots.CommitAsync(request, options), $"commit snapshot {step.Chain}", CancellationToken.None, lease: lease.Id);
            return true;
        }
        catch (ContainerdException e) when (e.RpcStatus == nameof(Grpc.Core.StatusCode.AlreadyExists))
        {
            return false;
        }
    }

    private Task RemoveAsync(string key)
    {
        LogRemove(shared.Logger, key);
        return Client.TidyAsync(
            options => Client.Services.Snapshots.RemoveAsync(new RemoveSnapshotRequest { Snapshotter = Snapshotter, Key = key }, options).ResponseAsync, $"remove snapshot {key}");
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "Snapshot {Key} is not needed and removed")]
    private static partial void LogRemove(ILogger logger, string key);
}
