using System.Globalization;
using Reconciler.Containerd;
using Reconciler.Core.Model;
using Reconciler.Core.Ports;

namespace Reconciler.Agent.Runtime;

/// <summary>The mounts of a container: the default ones, its network files, its volumes.</summary>
internal sealed class SpecMounts(HostRoot host, WorkloadFolders folders, NetworkFiles network)
{
    /// <summary>Applies the container's mounts; makes what is to be made on the host.</summary>
    /// <exception cref="RuntimeException">Refused: a source is missing or of another type.</exception>
    public void Apply(OciSpec spec, ContainerSpec container)
    {
        var process = container.Process;
        var mounts = spec.Mounts!.Where(mount => mount.Destination != "/run").ToList(); // the image's own /run, as under Kubernetes
        mounts.Add(new OciMount
        {
            Destination = "/sys/fs/cgroup",
            Type = "cgroup",
            Source = "cgroup",
            Options = ["nosuid", "noexec", "nodev", "relatime", "ro"],
        });
        foreach (var (target, file) in network.Write(container.Namespace, container.Workload, process.HostNetwork)) mounts.Add(Bind(target, file, readOnly: true));
        var declared = process.Mounts.Select(mount => ToMount(container, mount)).ToList();
        mounts.RemoveAll(mount => declared.Exists(own => own.Destination == mount.Destination));
        spec.Mounts = [.. mounts, .. declared.OrderBy(mount => mount.Destination!.Count(c => c == '/'))]; // parents before what lies in them
    }

    private OciMount ToMount(ContainerSpec container, Mount mount) => mount.Volume switch
    {
        Volume.HostPath path => Bind(mount.MountPath, Source(path), mount.ReadOnly),
        Volume.EmptyDir { InMemory: true } memory => new OciMount
        {
            Destination = mount.MountPath,
            Type = "tmpfs",
            Source = "tmpfs",
            Options = Memory(memory, mount.ReadOnly),
        },
        Volume.EmptyDir folder => Bind(mount.MountPath, folders.EmptyDir(container.Namespace, container.Workload, folder.Name), mount.ReadOnly),
        _ => throw new InvalidOperationException($"unknown volume {mount.Volume.GetType().Name}"),
    };

    private static OciMount Bind(string target, string source, bool readOnly) => new()
    {
        Destination = target,
        Type = "bind",
        Source = source,
        Options = ["rbind", "rprivate", readOnly ? "ro" : "rw"],
    };

    private static List<string> Memory(Volume.EmptyDir volume, bool readOnly)
    {
        var options = new List<string> { "nosuid", "nodev", "mode=0777", readOnly ? "ro" : "rw" };
        if (volume.SizeLimit is { } size) options.Add("size=" + size.ToString(CultureInfo.InvariantCulture));
        return options;
    }

    /// <summary>The host path for the spec, after the check that its type asks for.</summary>
    private string Source(Volume.HostPath volume)
    {
        HostFileKind kind;
        try
        {
            kind = host.Look(volume.Path).Kind;
            if (kind == HostFileKind.Missing && volume.Type is "DirectoryOrCreate" or "FileOrCreate") kind = Make(volume);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new RuntimeException(RuntimeErrorKind.Failed, FailureReason.MountFailed, $"volume {volume.Name}: {e.Message}", e);
        }
        if (kind == HostFileKind.Missing)
            throw new RuntimeException(RuntimeErrorKind.Refused, FailureReason.MountSourceMissing, $"volume {volume.Name}: {volume.Path} does not exist on the node");
        if (!Fits(volume.Type, kind))
            throw new RuntimeException(RuntimeErrorKind.Refused, FailureReason.MountSourceWrongType, $"volume {volume.Name}: {volume.Path} is not a {volume.Type}");
        return volume.Path;
    }

    private HostFileKind Make(Volume.HostPath volume)
    {
        var path = host.Resolve(volume.Path);
        if (volume.Type == "DirectoryOrCreate")
        {
            Directory.CreateDirectory(path);
            return HostFileKind.Directory;
        }
        if (!Directory.Exists(Path.GetDirectoryName(path)))
            throw new RuntimeException(RuntimeErrorKind.Refused, FailureReason.MountSourceMissing, $"volume {volume.Name}: the folder of {volume.Path} does not exist on the node");
        using (new FileStream(path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.ReadWrite))
        {
        }
        return HostFileKind.File;
    }

    private static bool Fits(string type, HostFileKind kind) => type switch
    {
        "Directory" or "DirectoryOrCreate" => kind == HostFileKind.Directory,
        "File" or "FileOrCreate" => kind == HostFileKind.File,
        "Socket" => kind == HostFileKind.Socket,
        "CharDevice" => kind == HostFileKind.CharDevice,
        "BlockDevice" => kind == HostFileKind.BlockDevice,
        _ => true,
    };
}
