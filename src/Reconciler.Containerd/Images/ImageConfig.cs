using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Reconciler.Containerd.Images;

/// <summary>The config of an image: what a container made from it starts with.</summary>
internal sealed record ImageConfig
{
    public IReadOnlyList<string> Env { get; init; } = [];
    public IReadOnlyList<string> Entrypoint { get; init; } = [];
    public IReadOnlyList<string> Cmd { get; init; } = [];
    public string WorkingDir { get; init; } = "";
    public string User { get; init; } = "";
    public string StopSignal { get; init; } = "";
    public string Architecture { get; init; } = "";
    public string Os { get; init; } = "";
    public string Variant { get; init; } = "";
    public DateTimeOffset? Created { get; init; }

    /// <summary>Digests of the uncompressed layers, lowest first.</summary>
    public IReadOnlyList<string> DiffIds { get; init; } = [];

    /// <summary>The name of the snapshot that holds all layers; empty for an image without layers.</summary>
    public string ChainId => ChainIds(DiffIds) is [.., var top] ? top : "";

    /// <summary>Per layer the name of the snapshot that holds it and all below.</summary>
    public static IReadOnlyList<string> ChainIds(IReadOnlyList<string> diffIds)
    {
        var chain = new List<string>(diffIds.Count);
        foreach (var diffId in diffIds)
            chain.Add(chain.Count == 0 ? diffId : "sha256:" + Convert.ToHexStringLower(SHA256.HashData(Encoding.ASCII.GetBytes($"{chain[^1]} {diffId}"))));
        return chain;
    }

    /// <exception cref="FormatException">Not an image config; the message says why.</exception>
    public static ImageConfig Parse(ReadOnlyMemory<byte> bytes)
    {
        try
        {
            using var document = JsonDocument.Parse(bytes, new JsonDocumentOptions { MaxDepth = 32 });
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object) throw new FormatException("the image config is not a JSON object");
            var config = Member(root, "config");
            var diffIds = Texts(Member(root, "rootfs"), "diff_ids");
            if (diffIds.FirstOrDefault(id => !ImageReference.IsDigest(id)) is { } bad) throw new FormatException($"the image config's diff id \"{bad}\" is no digest");
            return new ImageConfig
            {
                Env = Texts(config, "Env"),
                Entrypoint = Texts(config, "Entrypoint"),
                Cmd = Texts(config, "Cmd"),
                WorkingDir = Text(config, "WorkingDir"),
                User = Text(config, "User"),
                StopSignal = Text(config, "StopSignal"),
                Architecture = Text(root, "architecture"),
                Os = Text(root, "os"),
                Variant = Text(root, "variant"),
                Created = Member(root, "created") is { ValueKind: JsonValueKind.String } created && created.TryGetDateTimeOffset(out var time) ? time : null,
                DiffIds = diffIds,
            };
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException) // the latter for texts that are not Unicode
        {
            throw new FormatException("the image config is not JSON: " + e.Message, e);
        }
    }

    private static JsonElement Member(JsonElement item, string name) =>
        item.ValueKind == JsonValueKind.Object && item.TryGetProperty(name, out var value) ? value : default;

    private static string Text(JsonElement item, string name) =>
        Member(item, name) is { ValueKind: JsonValueKind.String } value ? value.GetString()! : "";

    private static string[] Texts(JsonElement item, string name) =>
        Member(item, name) is { ValueKind: JsonValueKind.Array } list
            ? [.. list.EnumerateArray().Select(element => element.ValueKind == JsonValueKind.String
                ? element.GetString()!
                : throw new FormatException($"the image config's {name} is not a list of texts"))]
            : [];
}
