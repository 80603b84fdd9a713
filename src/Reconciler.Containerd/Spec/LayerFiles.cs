using System.Runtime.InteropServices;
using Reconciler.Containerd.Api.Types;

namespace Reconciler.Containerd;

/// <summary>Small files of a snapshot, read from its layers' folders as the mounted file system would show them. Nothing is mounted.</summary>
/// <param name="layers">Folders seen from here, topmost first.</param>
internal sealed partial class LayerFiles(IReadOnlyList<string> layers)
{
    private const int MaxLinks = 40;
    private const int MaxBytes = 8 * 1024 * 1024;
    private const int AtCwd = -100;
    private const int NoFollow = 0x100;
    private const uint BasicStats = 0x7ff;

    /// <param name="mounts">As the snapshotter gives them.</param>
    /// <param name="hostRoot">Where the host's root file system is seen from here.</param>
    /// <returns>Null = mounts of a kind that cannot be read this way.</returns>
    public static LayerFiles? Of(IReadOnlyList<Mount> mounts, string hostRoot)
    {
        if (mounts.Count != 1) return null;
        var mount = mounts[0];
        IEnumerable<string> folders = mount.Type switch
        {
            "bind" => [mount.Source],
            "overlay" or "fuse3.fuse-overlayfs" => LowerFolders(mount.Options),
            _ => [],
        };
        var found = folders.Select(folder => hostRoot.TrimEnd('/') + folder).ToList();
        return found.Count > 0 && found.TrueForAll(Directory.Exists) ? new LayerFiles(found) : null;
    }

    /// <summary>The text of a regular file; null = there is none.</summary>
    /// <param name="path">Absolute, as in the container.</param>
    /// <exception cref="IOException">A layer could not be read, or the file is larger than 8 MiB.</exception>
    public string? ReadText(string path)
    {
        var links = 0;
        var open = new Stack<string>(Parts(path).Reverse());
        var walked = new List<string>();
        var folders = layers;
        while (open.TryPop(out var part))
        {
            if (part == "..")
            {
                Restart(walked[..Math.Max(0, walked.Count - 1)]);
                continue;
            }
            var (kind, entry, inside) = Find(folders, part);
            switch (kind)
            {
                case Kind.Link:
                    if (++links > MaxLinks) return null;
                    var target = new FileInfo(entry).LinkTarget ?? "";
                    foreach (var next in Parts(target).Reverse()) open.Push(next);
                    if (target.StartsWith('/')) Restart([]);
                    break;
                case Kind.Folder:
                    walked.Add(part);
                    folders = inside;
                    break;
                case Kind.File when open.Count == 0:
                    return Read(entry);
                default:
                    return null;
            }
        }
        return null;

        void Restart(List<string> prefix)
        {
            foreach (var next in Enumerable.Reverse(prefix)) open.Push(next);
            walked.Clear();
            folders = layers;
        }
    }

    /// <summary>What one name is in a folder that several layers make up.</summary>
    private static (Kind Kind, string Entry, List<string> Folders) Find(IReadOnlyList<string> folders, string name)
    {
        var inside = new List<string>();
        foreach (var folder in folders)
        {
            var entry = $"{folder}/{name}";
            var kind = KindOf(entry);
            if (kind == Kind.Missing) continue;
            if (kind == Kind.Folder)
            {
                inside.Add(entry);
                if (IsOpaque(entry)) break;
                continue;
            }
            // Below a folder anything else, a whiteout included, only ends it.
            if (inside.Count > 0) break;
            return (kind, entry, inside);
        }
        return inside.Count > 0 ? (Kind.Folder, inside[0], inside) : (Kind.Missing, "", inside);
    }

    private static unsafe Kind KindOf(string path)
    {
        Statx stat = default;
        if (StatFile(AtCwd, path, NoFollow, BasicStats, &stat) != 0)
        {
            var error = Marshal.GetLastPInvokeError();
            return error is 2 or 20 ? Kind.Missing : throw new IOException($"{path}: {Marshal.GetPInvokeErrorMessage(error)}");
        }
        return (stat.Mode & 0xF000) switch
        {
            0x4000 => Kind.Folder,
            0x8000 => Kind.File,
            0xA000 => Kind.Link,
            _ => Kind.Other, // a whiteout is a character device 0,0
        };
    }

    private static unsafe bool IsOpaque(string folder)
    {
        byte value = 0;
        return (ReadAttribute(folder, "trusted.overlay.opaque", &value, 1) == 1 && value == 'y')
            || (ReadAttribute(folder, "user.overlay.opaque", &value, 1) == 1 && value == 'y');
    }

    private static string Read(string file)
    {
        if (new FileInfo(file).Length > MaxBytes) throw new IOException($"{file} is larger than {MaxBytes} bytes");
        return File.ReadAllText(file);
    }

    private static IEnumerable<string> LowerFolders(IEnumerable<string> options) => options
        .Where(option => option.StartsWith("lowerdir=", StringComparison.Ordinal))
        .SelectMany(option => option["lowerdir=".Length..].Split(':', StringSplitOptions.RemoveEmptyEntries));

    private static IEnumerable<string> Parts(string path) =>
        path.Split('/', StringSplitOptions.RemoveEmptyEntries).Where(part => part != ".");

    private enum Kind
    {
        Missing,
        Folder,
        File,
        Link,
        Other,
    }

    [LibraryImport("libc", EntryPoint = "statx", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static unsafe partial int StatFile(int folder, string path, int flags, uint mask, Statx* result);

    [LibraryImport("libc", EntryPoint = "lgetxattr", StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial nint ReadAttribute(string path, string name, byte* value, nint size);

    /// <summary>The kernel's struct statx, the same on every architecture.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct Statx
    {
        [FieldOffset(28)]
        public ushort Mode;
    }
}
