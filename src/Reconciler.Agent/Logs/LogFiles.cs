using System.Collections.Concurrent;
using System.Globalization;
using Reconciler.Core.Model;

namespace Reconciler.Agent.Logs;

/// <summary>
/// The files containers write to: <c>LOGDIR/namespace/workload/container/incarnation.out</c> and <c>.err</c>. Beside a file that was cut lie
/// <c>.out.1</c>, the bytes before it, <c>.out.2</c>, those before these, and so on, and <c>.out.cut</c>, how many were cut off in all.
/// </summary>
public sealed class LogFiles(string folder, TimeProvider time, string hostRoot = "/")
{
    private const string Removed = ".removed";
    private const UnixFileMode FolderMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupRead | UnixFileMode.GroupExecute;
    private const UnixFileMode FileMode0640 = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead;

    private readonly ConcurrentQueue<LogPaths> _created = new();
    private readonly BrokenLogs _broken = new(Path.Combine(hostRoot, "proc"), time, () => HasSpace(folder));

    /// <summary>The log folder, a full path.</summary>
    public string Folder { get; } = Path.GetFullPath(folder);

    internal LogHolders Holders { get; } = new(Path.Combine(hostRoot, "proc"));

    /// <summary>
    /// Makes the two files, empty, mode 0640: the shim only opens files that exist. Files of an earlier life of the same name make room; its last
    /// incarnation stays as incarnation 0.
    /// </summary>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public LogPaths Create(string ns, string workload, string container, long incarnation)
    {
        var directory = Directory.CreateDirectory(FolderOf(ns, workload, container), FolderMode).FullName;
        MakeRoom(directory, incarnation);
        File.Delete(Path.Combine(directory, Removed));
        var paths = In(directory, incarnation);
        foreach (var path in new[] { paths.Out, paths.Err })
            File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete).Dispose();
        File.SetUnixFileMode(paths.Out, FileMode0640);
        File.SetUnixFileMode(paths.Err, FileMode0640);
        _created.Enqueue(paths);
        return paths;
    }

    /// <summary>Where an incarnation writes to, whether or not it exists.</summary>
    public LogPaths PathsOf(string ns, string workload, string container, long incarnation) =>
        In(FolderOf(ns, workload, container), incarnation);

    /// <summary>Incarnations with a log file, oldest first.</summary>
    public IReadOnlyList<long> Incarnations(string ns, string workload, string container) =>
        IncarnationsIn(FolderOf(ns, workload, container));

    /// <summary>Containers of a workload that have logs, by name.</summary>
    public IReadOnlyList<string> Containers(string ns, string workload) =>
        [.. FoldersIn(Path.Combine(Folder, Checked(ns), Checked(workload))).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];

    /// <summary>
    /// Tells which containers are declared or exist; call it after every full list. The logs of all others go <see cref="LogCutter.KeptAfterRemoval"/>
    /// after the first call without them, also when the agent restarts in between.
    /// </summary>
    public void Present(IReadOnlySet<ResourceKey> containers)
    {
        foreach (var directory in ContainerFolders())
        {
            var mark = Path.Combine(directory, Removed);
            if (containers.Contains(KeyOf(directory))) File.Delete(mark);
            else if (!File.Exists(mark)) File.WriteAllText(mark, time.GetUtcNow().ToString("O", CultureInfo.InvariantCulture));
        }
    }

    /// <summary>
    /// Ids of those whose process still writes while its shim has closed the log, which a full disk makes it do: they block for good and must be
    /// replaced. Looks at /proc every 10 minutes, every 10 s after the log disk was short, or when forced (at recovery); finds none while the disk is so full
    /// that the successor's log would be closed as well.
    /// </summary>
    public IReadOnlySet<string> FindBroken(IReadOnlyCollection<RunningLog> running, bool force = false) => _broken.Find(running, force);

    internal void SawLowDisk() => _broken.SawLowDisk();

    /// <summary>Within the last minutes.</summary>
    internal bool WasDiskShort => _broken.WasDiskShort;

    /// <summary>Files made since the last call.</summary>
    internal IEnumerable<LogPaths> TakeCreated()
    {
        while (_created.TryDequeue(out var paths)) yield return paths;
    }

    internal IEnumerable<string> ContainerFolders() => FoldersIn(Folder).SelectMany(FoldersIn).SelectMany(FoldersIn);

    internal static LogPaths In(string directory, long incarnation)
    {
        var name = Path.Combine(directory, incarnation.ToString(CultureInfo.InvariantCulture));
        return new LogPaths(name + ".out", name + ".err");
    }

    internal static List<long> IncarnationsIn(string directory)
    {
        if (!Directory.Exists(directory)) return [];
        var found = new SortedSet<long>();
        foreach (var path in Directory.EnumerateFiles(directory))
            if (Path.GetExtension(path.AsSpan()) is ".out" or ".err"
                && long.TryParse(Path.GetFileNameWithoutExtension(path.AsSpan()), NumberStyles.None, CultureInfo.InvariantCulture, out var incarnation))
                found.Add(incarnation);
        return [.. found];
    }

    /// <summary>Both streams with all that belongs to them.</summary>
    internal static void Delete(string directory, long incarnation)
    {
        var paths = In(directory, incarnation);
        foreach (var log in new[] { paths.Out, paths.Err })
            foreach (var file in Parts(log)) File.Delete(file);
    }

    /// <summary>When the removal of the container was first seen; null = it is there.</summary>
    internal static DateTimeOffset? RemovedSince(string directory)
    {
        var mark = Path.Combine(directory, Removed);
        if (!File.Exists(mark)) return null;
        if (DateTimeOffset.TryParse(File.ReadAllText(mark), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var since)) return since;
        File.Delete(mark);
        return null;
    }

    /// <summary>One percent, or enough for some seconds of a loud container.</summary>
    private static bool HasSpace(string folder)
    {
        try
        {
            var disk = new DriveInfo(Path.GetFullPath(folder));
            return disk.AvailableFreeSpace >= Math.Min(64L << 20, disk.TotalSize / 100);
        }
        catch (IOException)
        {
            return true; // not to be had: the look decides
        }
    }

    private static IEnumerable<string> FoldersIn(string directory)
    {
        try
        {
            return Directory.GetDirectories(directory);
        }
        catch (DirectoryNotFoundException)
        {
            return [];
        }
    }

    /// <summary>Incarnations count up as long as any record of the container exists; a count that starts again is another life.</summary>
    private static void MakeRoom(string directory, long incarnation)
    {
        var existing = IncarnationsIn(directory);
        if (existing.Count == 0 || existing[^1] < incarnation) return;
        var earlierLife = existing[^1] > incarnation || incarnation <= 1;
        if (!earlierLife)
        {
            Delete(directory, incarnation); // a creation that was rolled back
            return;
        }
        foreach (var old in existing.SkipLast(1)) Delete(directory, old);
        Rename(In(directory, existing[^1]), In(directory, 0));
    }

    private static void Rename(LogPaths from, LogPaths to)
    {
        foreach (var (source, target) in new[] { (from.Out, to.Out), (from.Err, to.Err) })
            foreach (var part in Parts(source))
                if (source != target && File.Exists(part)) File.Move(part, target + part[source.Length..], overwrite: true);
    }

    private static IEnumerable<string> Parts(string log) =>
        [LogPaths.UnfinishedPieceOf(log), LogPaths.UnfinishedJournalOf(log), .. LogPaths.PiecesOf(log).Select(number => LogPaths.PieceOf(log, number)), LogPaths.JournalOf(log), log];

    private ResourceKey KeyOf(string directory)
    {
        var parts = Path.GetRelativePath(Folder, directory).Split('/');
        return ResourceKey.Container(parts[0], parts[1], parts[2]);
    }

    private string FolderOf(string ns, string workload, string container) =>
        Path.Combine(Folder, Checked(ns), Checked(workload), Checked(container));

    private static string Checked(string name) =>
        name.Length > 0 && name[0] != '.' && !name.Contains('/', StringComparison.Ordinal)
            ? name
            : throw new ArgumentException($"'{name}' cannot be the name of a namespace, workload or container");
}
