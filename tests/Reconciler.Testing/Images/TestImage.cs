using System.Formats.Tar;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text.Json.Nodes;

namespace Reconciler.Testing.Images;

public sealed record Blob(string MediaType, byte[] Bytes)
{
    public string Digest { get; } = "sha256:" + Convert.ToHexStringLower(SHA256.HashData(Bytes));

    public JsonObject Descriptor() => new() { ["mediaType"] = MediaType, ["digest"] = Digest, ["size"] = Bytes.Length };
}

/// <summary>An image made in memory: manifest, config and layers.</summary>
public sealed record TestImage(Blob Manifest, Blob Config, IReadOnlyList<Blob> Layers)
{
    public const string OciManifest = "application/vnd.oci.image.manifest.v1+json";
    public const string OciIndex = "application/vnd.oci.image.index.v1+json";
    public const string OciConfig = "application/vnd.oci.image.config.v1+json";
    public const string OciLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip";
    public const string OciLayer = "application/vnd.oci.image.layer.v1.tar";
    public const string DockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
    public const string DockerConfig = "application/vnd.docker.container.image.v1+json";
    public const string DockerLayerGzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";

    /// <param name="layers">Uncompressed tar archives, lowest first.</param>
    /// <param name="config">The config's <c>config</c> object: Cmd, Env, User, ...</param>
    /// <param name="docker">Docker v2 media types in place of OCI's.</param>
    public static TestImage Create(IReadOnlyList<byte[]> layers, JsonObject? config = null, bool docker = false, bool gzip = true, string architecture = "amd64")
    {
        var blobs = layers
            .Select(tar => new Blob(docker ? DockerLayerGzip : gzip ? OciLayerGzip : OciLayer, gzip ? Gzip(tar) : tar))
            .ToList();
        var document = new JsonObject
        {
            ["created"] = "2026-01-02T03:04:05Z",
            ["architecture"] = architecture,
            ["os"] = "linux",
            ["config"] = config?.DeepClone() ?? new JsonObject(),
            ["rootfs"] = new JsonObject
            {
                ["type"] = "layers",
                ["diff_ids"] = new JsonArray([.. layers.Select(tar => JsonValue.Create("sha256:" + Convert.ToHexStringLower(SHA256.HashData(tar))))]),
            },
        };
        var configBlob = new Blob(docker ? DockerConfig : OciConfig, Utf8(document));
        var manifest = new JsonObject
        {
            ["schemaVersion"] = 2,
            ["mediaType"] = docker ? DockerManifest : OciManifest,
            ["config"] = configBlob.Descriptor(),
            ["layers"] = new JsonArray([.. blobs.Select(blob => blob.Descriptor())]),
        };
        return new TestImage(new Blob(docker ? DockerManifest : OciManifest, Utf8(manifest)), configBlob, blobs);
    }

    /// <summary>An OCI layout as a tar archive, for <c>ctr images import</c>.</summary>
    public byte[] ToArchive(string name)
    {
        var descriptor = Manifest.Descriptor();
        descriptor["annotations"] = new JsonObject { ["io.containerd.image.name"] = name, ["org.opencontainers.image.ref.name"] = name };
        var index = new JsonObject { ["schemaVersion"] = 2, ["mediaType"] = OciIndex, ["manifests"] = new JsonArray(descriptor) };
        using var archive = new Archive();
        archive.File("oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}"u8.ToArray());
        archive.File("index.json", Utf8(index));
        foreach (var blob in Layers.Prepend(Config).Prepend(Manifest).DistinctBy(blob => blob.Digest))
            archive.File("blobs/sha256/" + blob.Digest["sha256:".Length..], blob.Bytes);
        return archive.ToArray();
    }

    /// <summary>The first image of an OCI layout in a tar archive.</summary>
    public static TestImage Read(string archive)
    {
        var files = new Dictionary<string, byte[]>();
        using (var reader = new TarReader(File.OpenRead(archive)))
        {
            while (reader.GetNextEntry() is { } entry)
            {
                using var content = new MemoryStream();
                entry.DataStream?.CopyTo(content);
                files[entry.Name.TrimStart('.', '/')] = content.ToArray();
            }
        }
        var manifest = BlobOf(JsonNode.Parse(files["index.json"])!["manifests"]![0]!);
        var document = JsonNode.Parse(manifest.Bytes)!;
        return new TestImage(manifest, BlobOf(document["config"]!), [.. document["layers"]!.AsArray().Select(layer => BlobOf(layer!))]);

        Blob BlobOf(JsonNode descriptor) => new((string)descriptor["mediaType"]!, files["blobs/sha256/" + ((string)descriptor["digest"]!)["sha256:".Length..]]);
    }

    /// <summary>The same with one more layer on top.</summary>
    /// <param name="layer">An uncompressed tar archive.</param>
    public TestImage With(byte[] layer)
    {
        var blob = new Blob(OciLayerGzip, Gzip(layer));
        var config = JsonNode.Parse(Config.Bytes)!;
        config["rootfs"]!["diff_ids"]!.AsArray().Add("sha256:" + Convert.ToHexStringLower(SHA256.HashData(layer)));
        config.AsObject().Remove("history"); // would count one layer less
        var configBlob = new Blob(Config.MediaType, Utf8(config));
        var manifest = JsonNode.Parse(Manifest.Bytes)!;
        manifest["config"] = configBlob.Descriptor();
        manifest["layers"]!.AsArray().Add(blob.Descriptor());
        return new TestImage(new Blob(Manifest.MediaType, Utf8(manifest)), configBlob, [.. Layers, blob]);
    }

    public static byte[] Utf8(JsonNode node) => System.Text.Encoding.UTF8.GetBytes(node.ToJsonString());

    public static byte[] Gzip(byte[] bytes)
    {
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Fastest)) gzip.Write(bytes);
        return packed.ToArray();
    }
}

/// <summary>A tar archive in the making.</summary>
public sealed class Archive : IDisposable
{
    private readonly MemoryStream _bytes = new();
    private readonly TarWriter _writer;

    public Archive() => _writer = new TarWriter(_bytes, TarEntryFormat.Pax, leaveOpen: true);

    public Archive File(string name, byte[] content, int mode = 0b110_100_100)
    {
        Write(new PaxTarEntry(TarEntryType.RegularFile, name) { DataStream = new MemoryStream(content), Mode = (UnixFileMode)mode });
        return this;
    }

    public Archive File(string name, string content) => File(name, System.Text.Encoding.UTF8.GetBytes(content));

    public Archive Folder(string name, int mode = 0b111_101_101)
    {
        Write(new PaxTarEntry(TarEntryType.Directory, name) { Mode = (UnixFileMode)mode });
        return this;
    }

    public Archive Link(string name, string target)
    {
        Write(new PaxTarEntry(TarEntryType.SymbolicLink, name) { LinkName = target });
        return this;
    }

    public byte[] ToArray()
    {
        _writer.Dispose();
        return _bytes.ToArray();
    }

    public void Dispose()
    {
        _writer.Dispose();
        _bytes.Dispose();
    }

    private void Write(PaxTarEntry entry)
    {
        entry.ModificationTime = DateTimeOffset.UnixEpoch;
        _writer.WriteEntry(entry);
    }
}
