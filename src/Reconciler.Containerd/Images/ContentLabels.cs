using Google.Protobuf.WellKnownTypes;
using Reconciler.Containerd.Api.Content;
using Reconciler.Containerd.Registries;

namespace Reconciler.Containerd.Images;

/// <summary>Labels on content: containerd's garbage collection follows them, and other clients look up where a blob came from.</summary>
internal static class ContentLabels
{
    private const int MaxLabel = 4096;
    private const string Reference = "containerd.io/gc.ref.content.";
    private const string Source = "containerd.io/distribution.source.";

    public const string Uncompressed = "containerd.io/uncompressed";

    public static string Snapshot(string snapshotter) => "containerd.io/gc.ref.snapshot." + snapshotter;

    /// <summary>What a parent holds on to; labels for content that was not fetched do no harm.</summary>
    public static Dictionary<string, string> Children(ManifestDocument document)
    {
        var labels = new Dictionary<string, string>(StringComparer.Ordinal);
        switch (document)
        {
            case ManifestDocument.Index index:
                for (var i = 0; i < index.Manifests.Count; i++) labels[$"{Reference}m.{i}"] = index.Manifests[i].Digest;
                break;
            case ManifestDocument.Manifest manifest:
                labels[Reference + "config"] = manifest.Config.Digest;
                for (var i = 0; i < manifest.Children.Count; i++) labels[$"{Reference}l.{i}"] = manifest.Children[i].Digest;
                break;
        }
        return labels;
    }

    public static KeyValuePair<string, string> Origin(RegistryEndpoint endpoint) => new(Source + endpoint.Host, endpoint.Repository);

    /// <summary>Content.Update, never cut.</summary>
    public static async Task SetAsync(ContainerdClient client, string digest, IReadOnlyDictionary<string, string> labels)
    {
        if (labels.Count == 0) return;
        var request = new UpdateRequest { Info = new Info { Digest = digest }, UpdateMask = new FieldMask() };
        foreach (var (key, value) in labels)
        {
            request.Info.Labels[key] = value;
            request.UpdateMask.Paths.Add("labels." + key);
        }
        await client.CallAsync(options => client.Services.Content.UpdateAsync(request, options), $"label content {digest}", CancellationToken.None);
    }

    /// <summary>Gives content that was there before the labels it lacks; its sources are added up.</summary>
    /// <returns>Its size in bytes.</returns>
    public static async Task<long> MergeAsync(ContainerdClient client, string digest, IReadOnlyDictionary<string, string> labels, CancellationToken cancellation)
    {
        var answer = await client.CallAsync(
            options => client.Services.Content.InfoAsync(new InfoRequest { Digest = digest }, options), $"find content {digest}", cancellation);
        var present = answer.Info.Labels;
        var changes = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var (key, value) in labels)
        {
            var wanted = key.StartsWith(Source, StringComparison.Ordinal) ? Sources(present.TryGetValue(key, out var old) ? old : "", value) : value;
            var current = present.TryGetValue(key, out var text) ? text : "";
            if (wanted != current && key.Length + wanted.Length <= MaxLabel) changes[key] = wanted;
        }
        await SetAsync(client, digest, changes);
        return answer.Info.Size;
    }

    internal static string Sources(string known, string added) => string.Join(
        ',', known.Split(',', StringSplitOptions.RemoveEmptyEntries).Append(added).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal));
}
