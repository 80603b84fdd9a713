using System.Runtime.InteropServices;

namespace Reconciler.Agent.Runtime;

internal enum HostFileKind
{
    Missing,
    File,
    Directory,
    Socket,
    CharDevice,
    BlockDevice,
    Other,
}

/// <param name="Kind">After following links.</param>
/// <param name="Mount">Id of the mount it is on; 0 where the kernel does not say.</param>
/// <param name="Device">st_dev as major, minor.</param>
/// <param name="Node">st_rdev of a device node.</param>
/// <param name="Inode">Inode number.</param>
/// <param name="Mode">Permission bits.</param>
/// <param name="Version">Size and time of the last change to the content.</param>
internal readonly record struct HostFile(
    HostFileKind Kind, ulong Mount, (uint Major, uint Minor) Device, (uint Major, uint Minor) Node, ulong Inode, uint Mode, uint Uid, uint Gid,
    (ulong Size, long Seconds, uint Nanoseconds) Version);

/// <summary>The host's files as seen from here: links are followed as the host would, inside its root.</summary>
/// <param name="root">--host-root.</param>
internal sealed partial class HostRoot(string root)
{
    private const int MaxLinks = 40;
    private const int AtCwd = -100;
    private const int NoFollow = 0x100;
    private const uint BasicStats = 0x7ff;
    private const uint MountId = 0x1000;

    private readonly string _root = root.Length > 1 ? root.TrimEnd('/') : "";

    /// <summary>Where a host path is for us, every link on the way resolved against the host's root.</summary>
    /// <exception cref="IOException">A loop of links.</exception>
    public string Resolve(string hostPath)
    {
        var done = new List<string>();
        var open = new Stack<string>(Parts(hostPath).Reverse());
        var links = 0;
        while (open.TryPop(out var part))
        {
            if (part == "..")
            {
                if (done.Count > 0) done.RemoveAt(done.Count - 1);
                continue;
            }
            var path = $"{_root}/{string.Join('/', done.Append(part))}";
            var target = new FileInfo(path).LinkTarget;
            if (target is null)
            {
                done.Add(part);
                continue;
            }
            if (++links > MaxLinks) throw new IOException($"{hostPath}: too many symbolic links");
            if (target.StartsWith('/')) done.Clear();
            foreach (var next in Parts(target).Reverse()) open.Push(next);
        }
        return $"{_root}/{string.Join('/', done)}";
    }

    /// <summary>What is behind a host path, links followed inside the host's root.</summary>
    public HostFile Look(string hostPath) => LookAt(Resolve(hostPath));

    /// <summary>What is at a path of our own; a link is not followed.</summary>
    public static unsafe HostFile LookAt(string path)
    {
        Statx stat = default;
        if (StatFile(AtCwd, path, NoFollow, BasicStats | MountId, &stat) != 0) return default;
        var kind = (stat.Mode & 0xF000) switch
        {
            0x8000 => HostFileKind.File,
            0x4000 => HostFileKind.Directory,
            0xC000 => HostFileKind.Socket,
            0x2000 => HostFileKind.CharDevice,
            0x6000 => HostFileKind.BlockDevice,
            _ => HostFileKind.Other,
        };
        var mount = (stat.Mask & MountId) != 0 ? stat.MountId : 0;
        return new HostFile(
            kind, mount, (stat.DevMajor, stat.DevMinor), (stat.NodeMajor, stat.NodeMinor), stat.Inode, stat.Mode & 0xFFFu, stat.Uid, stat.Gid,
            (stat.Size, stat.ModifiedSeconds, stat.ModifiedNanoseconds));
    }

    private static IEnumerable<string> Parts(string path) => path.Split('/', StringSplitOptions.RemoveEmptyEntries).Where(part => part != ".");

    [LibraryImport("libc", EntryPoint = "statx", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static unsafe partial int StatFile(int folder, string path, int flags, uint mask, Statx* result);

    /// <summary>The kernel's struct statx, the same on every architecture.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct Statx
    {
        [FieldOffset(0)]
        public uint Mask;

        [FieldOffset(20)]
        public uint Uid;

        [FieldOffset(24)]
        public uint Gid;

        [FieldOffset(28)]
        public ushort Mode;

        [FieldOffset(32)]
        public ulong Inode;

        [FieldOffset(40)]
        public ulong Size;

        [FieldOffset(112)]
        public long ModifiedSeconds;

        [FieldOffset(120)]
        public uint ModifiedNanoseconds;

        [FieldOffset(128)]
        public uint NodeMajor;

        [FieldOffset(132)]
        public uint NodeMinor;

        [FieldOffset(136)]
        public uint DevMajor;

        [FieldOffset(140)]
        public uint DevMinor;

        [FieldOffset(144)]
        public ulong MountId;
    }
}
