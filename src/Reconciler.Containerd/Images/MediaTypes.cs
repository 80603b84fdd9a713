namespace Reconciler.Containerd.Images;

internal static class MediaTypes
{
    public const string DockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
    public const string DockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json";
    public const string OciManifest = "application/vnd.oci.image.manifest.v1+json";
    public const string OciIndex = "application/vnd.oci.image.index.v1+json";

    /// <summary>Without the OCI types registry 2.8 answers 404 for OCI content.</summary>
    public static readonly string[] Accepted = [DockerManifest, DockerManifestList, OciManifest, OciIndex, "*/*"];

    public static bool IsIndex(string type) => type is DockerManifestList or OciIndex;

    public static bool IsManifest(string type) => type is DockerManifest or OciManifest;

    /// <summary>Other children of a manifest are fetched and never unpacked, as containerd does.</summary>
    public static bool IsLayer(string type) =>
        type.StartsWith("application/vnd.oci.image.layer.", StringComparison.Ordinal) || type.StartsWith("application/vnd.docker.image.rootfs.", StringComparison.Ordinal);

    public static bool IsSchema1(string type) =>
        type.StartsWith("application/vnd.docker.distribution.manifest.v1+", StringComparison.Ordinal);
}
