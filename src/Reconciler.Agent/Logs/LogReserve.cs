using System.Globalization;
using Reconciler.Agent.Node;

namespace Reconciler.Agent.Logs;

/// <summary>
/// Keeps a share of the log disk free, since a full one makes shims close their logs and containers block for good; and all logs of the node together
/// below a limit.
/// </summary>
/// <param name="folder">The log folder.</param>
/// <param name="share">0 to 0.9 of the disk.</param>
/// <param name="most">Bytes of all logs; null = no limit.</param>
/// <param name="disk">Free and total bytes; null = of the folder's file system.</param>
internal sealed class LogReserve(string folder, double share, long? most = null, Func<(long Free, long Total)>? disk = null)
{
    /// <summary>Smaller ones free nothing worth losing them.</summary>
    private const long WorthIt = 64 * 1024;

    public bool IsShort()
    {
        var (free, total) = disk is null ? Measure() : disk();
        return free < total * share;
    }

    /// <summary>Bytes by which the logs exceed their limit; 0 or less = they do not.</summary>
    public long Excess(LogFiles files) =>
        most is { } limit ? files.ContainerFolders().SelectMany(directory => new DirectoryInfo(directory).EnumerateFiles()).Sum(file => file.Length) - limit : 0;

    /// <summary>What to give up, in this order: pieces and old incarnations, oldest first, then the fronts of live logs, largest first.</summary>
    public static IEnumerable<(string Path, long Size)> Victims(LogFiles files)
    {
        var old = new List<FileInfo>();
        var live = new List<FileInfo>();
        var held = files.Holders.Look();
        foreach (var directory in files.ContainerFolders())
        {
            var incarnations = LogFiles.IncarnationsIn(directory);
            foreach (var incarnation in incarnations)
            {
                var paths = LogFiles.In(directory, incarnation);
                foreach (var log in new[] { paths.Out, paths.Err })
                {
                    foreach (var number in LogPaths.PiecesOf(log)) Add(old, LogPaths.PieceOf(log, number), 1);
                    var inUse = incarnation == incarnations[^1] || held is not null && held.Holds(log);
                    Add(inUse ? live : old, log, 2 * WorthIt);
                }
            }
        }
        // Of two pieces of one second, the one with the higher number is the older.
        return old.OrderBy(file => file.LastWriteTimeUtc).ThenByDescending(NumberOf).Concat(live.OrderByDescending(file => file.Length)).Select(file => (file.FullName, file.Length));
    }

    /// <summary>Removes a piece or an ended log; of a live one all but the last 64 KiB.</summary>
    public static void Free(string path, bool collapses, CancellationToken cancellation)
    {
        var isLog = path.EndsWith(".out", StringComparison.Ordinal) || path.EndsWith(".err", StringComparison.Ordinal);
        if (!isLog) File.Delete(path);
        else new LogCut(path).Run(collapses, 0, WorthIt, cancellation);
    }

    /// <summary>Tries it out on a file of its own.</summary>
    public static bool CanCollapse(string folder)
    {
        var path = Path.Combine(folder, ".collapse-" + Guid.NewGuid().ToString("N"));
        try
        {
            using var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
            var block = Libc.Status(file).BlockSize;
            RandomAccess.Write(file, new byte[block + 1], 0);
            Libc.PunchStart(file, block);
            if (!Libc.StartsWithHole(file, block)) return false;
            Libc.CollapseStart(file, block);
            return RandomAccess.GetLength(file) == 1;
        }
        catch (IOException)
        {
            return false;
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static void Add(List<FileInfo> files, string path, long least)
    {
        var file = new FileInfo(path);
        if (file.Exists && file.Length >= least) files.Add(file);
    }

    private static int NumberOf(FileInfo piece) => int.TryParse(piece.Extension.AsSpan(1), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0;

    private (long Free, long Total) Measure()
    {
        var drive = new DriveInfo(folder);
        return (drive.AvailableFreeSpace, drive.TotalSize);
    }
}
