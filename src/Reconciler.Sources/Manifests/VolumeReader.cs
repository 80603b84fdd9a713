using Reconciler.Core.Model;

namespace Reconciler.Sources.Manifests;

/// <summary>The volumes of one workload, and who mounts them.</summary>
internal sealed class VolumeReader(ManifestOptions options)
{
    private sealed class Declared(FieldReader fields, Volume? volume)
    {
        public FieldReader Fields => fields;

        /// <summary>Null = refused; it is declared all the same, so that its mounts are not reported, too.</summary>
        public Volume? Volume => volume;

        public HashSet<string> Containers { get; } = new(StringComparer.Ordinal);
    }

    private readonly Dictionary<string, Declared> _volumes = new(StringComparer.Ordinal);

    public void Read(FieldReader spec)
    {
        foreach (var fields in spec.Mappings("volumes", 64))
        {
            var name = fields.RequiredText("name", 63);
            if (name is not null && !DnsName.IsLabel(name)) fields.Problem("name", $"\"{FieldReader.Shown(name)}\" is no DNS label", DnsName.LabelRule);
            var volume = ReadVolume(fields, name ?? "");
            fields.Close(kind => kind is "configMap" or "secret" or "persistentVolumeClaim" or "projected" or "nfs" or "csi" or "downwardAPI" or "image"
                ? "only hostPath and emptyDir exist here" : null);
            if (name is not null && !_volumes.TryAdd(name, new Declared(fields, volume)))
                fields.Problem("name", $"\"{FieldReader.Shown(name)}\" is there twice", "give each volume a name of its own");
        }
    }

    /// <summary>The mounts of one container in the order in which they must be made.</summary>
    public EquatableArray<Mount> ReadMounts(FieldReader container, string containerName, bool privileged)
    {
        var mounts = new SortedDictionary<string, Mount>(StringComparer.Ordinal);
        foreach (var fields in container.Mappings("volumeMounts", 64))
        {
            var name = fields.RequiredText("name", 63);
            var path = fields.RequiredText("mountPath", 4095);
            var readOnly = fields.Boolean("readOnly") ?? false;
            fields.Close(field => field is "subPath" or "subPathExpr" ? "mount the folder itself; sub-paths do not exist here" : null);
            if (path is not null) path = HostPaths.Normalize(path, out var error) is { } normal and not "/" ? normal : Refuse(fields, "mountPath", error ?? "must not be /");
            if (name is null) continue;
            if (!_volumes.TryGetValue(name, out var declared))
            {
                fields.Problem("name", $"no volume \"{FieldReader.Shown(name)}\"", Nearest.Find(name, [.. _volumes.Keys]) is { } near ? $"did you mean \"{near}\"?" : "declare it in spec.volumes");
                continue;
            }
            declared.Containers.Add(containerName);
            if (path is null || declared.Volume is not { } volume) continue;
            if (volume is Volume.HostPath host && !privileged) CheckPrivilege(fields, host.Path, readOnly);
            if (!mounts.TryAdd(path, new Mount(path, readOnly, volume)))
                fields.Problem("mountPath", $"{FieldReader.Shown(path)} is mounted twice", "one mount for each path");
        }
        return mounts.Values.ToEquatableArray();
    }

    /// <summary>Reports what only shows once every container was read.</summary>
    public void Finish()
    {
        foreach (var (name, declared) in _volumes)
        {
            if (declared.Containers.Count == 0) declared.Fields.Warn("name", $"no container mounts the volume \"{name}\"", "remove it or mount it");
            if (declared.Volume is Volume.EmptyDir { InMemory: true } && declared.Containers.Count > 1)
                declared.Fields.Problem("emptyDir", "a volume in memory belongs to one container", $"one volume each for {string.Join(", ", declared.Containers)}");
        }
    }

    private static Volume? ReadVolume(FieldReader fields, string name)
    {
        var host = fields.Mapping("hostPath");
        var empty = fields.Mapping("emptyDir");
        if (fields.Has("hostPath") == fields.Has("emptyDir"))
        {
            fields.Problem("name", "needs exactly one of hostPath and emptyDir", "write emptyDir: {} or hostPath: {path: /...}");
            return null;
        }
        return host is not null ? ReadHostPath(host, name) : empty is not null ? ReadEmptyDir(empty, name) : null;
    }

    private static Volume.HostPath? ReadHostPath(FieldReader fields, string name)
    {
        var path = fields.RequiredText("path", 4095);
        var type = fields.Choice("type", "", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice");
        fields.Close();
        if (path is null) return null;
        var normal = HostPaths.Normalize(path, out var error) ?? Refuse(fields, "path", error!);
        return normal is null ? null : new Volume.HostPath(name, normal, type ?? "");
    }

    private static Volume.EmptyDir ReadEmptyDir(FieldReader fields, string name)
    {
        var inMemory = fields.Choice("medium", "", "Memory") == "Memory";
        var limit = ResourceReader.Bytes(fields, "sizeLimit");
        fields.Close();
        if (inMemory && !fields.Has("sizeLimit")) fields.Problem("sizeLimit", "is required with medium Memory", "give the most bytes it may take, for example 64Mi");
        if (!inMemory && fields.Has("sizeLimit")) fields.Problem("sizeLimit", "cannot be held on disk", "remove it, or set medium: Memory");
        return new Volume.EmptyDir(name, inMemory, inMemory ? limit : null);
    }

    private void CheckPrivilege(FieldReader mount, string path, bool readOnly)
    {
        if (path == "/")
        {
            if (!readOnly) mount.Problem("name", "the host's / is mounted writable", "set readOnly: true, or securityContext.privileged: true");
            return;
        }
        var state = HostPaths.Normalize(options.StateDir, out _) ?? options.StateDir;
        if (HostPaths.Contains(path, state) || HostPaths.Contains(state, path))
            mount.Problem("name", $"{path} holds or is part of the agent's state dir {state}", "mount a narrower path, or set securityContext.privileged: true");
    }

    private static string? Refuse(FieldReader fields, string name, string error)
    {
        fields.Problem(name, error, "an absolute path without .., for example /data");
        return null;
    }
}
