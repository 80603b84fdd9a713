namespace Reconciler.Containerd.Images;

/// <summary>The layers of one image, unpacked one after the other as they arrive.</summary>
internal sealed class LayerQueue(Unpacker unpacker, ContainerdClient client, PullProgress progress, IReadOnlyList<LayerStep> steps)
{
    private const int MaxRounds = 3;

    /// <param name="fetched">Ends when a layer's blob is in the content store.</param>
    /// <param name="cancellation">Ends the work; the layer under way leaves nothing.</param>
    public async Task RunAsync(Func<LayerStep, Task> fetched, CancellationToken cancellation)
    {
        for (var round = 1; ; round++)
        {
            try
            {
                await RoundAsync(fetched, cancellation);
                return;
            }
            catch (ParentGoneException e)
            {
                if (round == MaxRounds) throw new ContainerdException($"the snapshot below a layer went {MaxRounds} times: {e.Message}", e);
            }
        }
    }

    private async Task RoundAsync(Func<LayerStep, Task> fetched, CancellationToken cancellation)
    {
        foreach (var step in steps)
        {
            await fetched(step);
            if (await unpacker.IsUnpackedAsync(step, cancellation)) continue;
            progress.Image("unpacking");
            progress.Set(step.Layer.Ref("layer"), "unpacking");
            await unpacker.UnpackAsync(step, cancellation);
            progress.Set(step.Layer.Ref("layer"), "unpacked");
            await ContentLabels.SetAsync(client, step.Layer.Digest, new Dictionary<string, string> { [ContentLabels.Uncompressed] = step.DiffId });
        }
        progress.Image("unpacked");
    }
}
