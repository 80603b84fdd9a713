using System.Runtime.InteropServices;

namespace Reconciler.Testing;

internal static partial class Mounts
{
    private const int Detach = 2;

    public static void DetachUnder(string folder)
    {
        var prefix = folder.TrimEnd('/') + "/";
        var points = File.ReadLines("/proc/self/mounts")
            .Select(line => line.Split(' ')[1].Replace("\\040", " "))
            .Where(point => point.StartsWith(prefix, StringComparison.Ordinal))
            .OrderByDescending(point => point.Length)
            .ToList();
        foreach (var point in points) _ = Unmount(point, Detach);
    }

    [LibraryImport("libc", EntryPoint = "umount2", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Unmount(string target, int flags);
}
