using Microsoft.Extensions.Logging;

namespace Reconciler.Agent.Runtime;

/// <summary>
/// What workloads have on disk beside their containers: emptyDir folders under <c>volumes/NS/WORKLOAD/</c> and network files under
/// <c>network/NS/WORKLOAD/</c> of the state dir. A folder to be removed is renamed first, so that a half removed one is never used again.
/// </summary>
internal sealed partial class WorkloadFolders(string stateDir, ILogger logger)
{
    private const UnixFileMode Traversable = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
        | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    private const UnixFileMode Everyone = Traversable | UnixFileMode.GroupWrite | UnixFileMode.OtherWrite;

    private readonly Lock _gate = new();
    private readonly string _volumes = Path.Combine(stateDir, "volumes");
    private readonly string _network = Path.Combine(stateDir, "network");

    // Names of namespaces and workloads are DNS names: none of them begins with a dot.
    private readonly string _removed = Path.Combine(stateDir, ".removed");

    /// <summary>The folder behind an emptyDir on disk, made when missing, writable for every user.</summary>
    public string EmptyDir(string ns, string workload, string volume)
    {
        lock (_gate)
        {
            var folder = Path.Combine(_volumes, ns, workload, volume);
            if (Directory.Exists(folder)) return folder;
            Directory.CreateDirectory(Path.GetDirectoryName(folder)!, Traversable);
            Directory.CreateDirectory(folder);
            File.SetUnixFileMode(folder, Everyone);
            return folder;
        }
    }

    /// <summary>The folder of a workload's /etc/hosts and the like, made when missing.</summary>
    public string Network(string ns, string workload)
    {
        lock (_gate)
        {
            return Directory.CreateDirectory(Path.Combine(_network, ns, workload), Traversable).FullName;
        }
    }

    /// <summary>All network folders there are.</summary>
    public IEnumerable<string> NetworkFolders() => Directory.Exists(_network)
        ? Directory.EnumerateDirectories(_network).SelectMany(Directory.EnumerateDirectories)
        : [];

    /// <summary>Removes the folders of every workload that is not used.</summary>
    /// <param name="isUsed">Asked under the lock that makes folders, so a workload that begins now is not lost.</param>
    public void Clean(Func<string, string, bool> isUsed, CancellationToken cancellation)
    {
        foreach (var parent in new[] { _volumes, _network })
        {
            if (!Directory.Exists(parent)) continue;
            foreach (var ns in Directory.GetDirectories(parent))
                foreach (var workload in Directory.GetDirectories(ns)) SetAside(ns, workload, isUsed);
        }
        if (!Directory.Exists(_removed)) return;
        foreach (var folder in Directory.GetDirectories(_removed)) Remove(folder, cancellation);
    }

    private void SetAside(string ns, string workload, Func<string, string, bool> isUsed)
    {
        lock (_gate)
        {
            if (isUsed(Path.GetFileName(ns), Path.GetFileName(workload))) return;
            try
            {
                Directory.CreateDirectory(_removed);
                Directory.Move(workload, Path.Combine(_removed, Guid.NewGuid().ToString("N")));
                if (!Directory.EnumerateFileSystemEntries(ns).Any()) Directory.Delete(ns);
            }
            catch (IOException e)
            {
                LogKept(workload, e.Message);
            }
        }
    }

    private void Remove(string folder, CancellationToken cancellation)
    {
        try
        {
            RemoveTree(folder, HostRoot.LookAt(folder), cancellation);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            LogKept(folder, e.Message);
        }
    }

    /// <summary>Follows no link and leaves what another mount shows; the folder itself then stays, and is tried again.</summary>
    private static void RemoveTree(string folder, HostFile top, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        foreach (var entry in new DirectoryInfo(folder).EnumerateFileSystemInfos("*", AllEntries))
        {
            var file = HostRoot.LookAt(entry.FullName);
            if (file.Kind != HostFileKind.Directory) File.Delete(entry.FullName);
            else if (file.Mount == top.Mount && file.Device == top.Device) RemoveTree(entry.FullName, top, cancellation);
            else throw new IOException($"{entry.FullName} is a mount point");
        }
        Directory.Delete(folder);
    }

    private static readonly EnumerationOptions AllEntries = new() { AttributesToSkip = 0, IgnoreInaccessible = false };

    [LoggerMessage(1, LogLevel.Warning, "{Folder} of a removed workload stays for now: {Why}")]
    private partial void LogKept(string folder, string why);
}
