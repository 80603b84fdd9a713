using System.Globalization;
using Reconciler.Agent.Node;

namespace Reconciler.Agent.Logs;

/// <summary>What the shims of the node have open, read from /proc in one pass: log files they write to, pipes they read from.</summary>
internal sealed class LogHolders(string proc)
{
    // Every runtime v2 shim is called containerd-shim-NAME; the kernel keeps 15 characters.
    private const string Shim = "containerd-shim";

    /// <summary>Null = no shim can be seen from here (another PID namespace, or none runs): nothing can be told.</summary>
    public Held? Look()
    {
        var files = new HashSet<FileId>();
        var pipes = new HashSet<string>(StringComparer.Ordinal);
        var shims = 0;
        foreach (var process in Directory.EnumerateDirectories(proc))
        {
            if (!int.TryParse(Path.GetFileName(process.AsSpan()), NumberStyles.None, CultureInfo.InvariantCulture, out _) || !IsShim(process)) continue;
            if (Open(process, files, pipes)) shims++;
        }
        return shims == 0 ? null : new Held(files, pipes);
    }

    /// <summary>The pipe behind a descriptor, as <c>pipe:[N]</c>; null = it is none, or the process is gone.</summary>
    public string? PipeOf(int pid, int descriptor)
    {
        try
        {
            var target = new FileInfo($"{proc}/{pid}/fd/{descriptor}").LinkTarget;
            return target is not null && target.StartsWith("pipe:", StringComparison.Ordinal) ? target : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static bool IsShim(string process)
    {
        try
        {
            return File.ReadAllText(process + "/comm").StartsWith(Shim, StringComparison.Ordinal);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static bool Open(string process, HashSet<FileId> files, HashSet<string> pipes)
    {
        try
        {
            foreach (var descriptor in Directory.EnumerateFileSystemEntries(process + "/fd"))
            {
                var target = new FileInfo(descriptor).LinkTarget;
                if (target is null) continue;
                if (target.StartsWith("pipe:", StringComparison.Ordinal)) pipes.Add(target);
                else if (target[0] == '/' && IsWritten(process, descriptor) && Libc.Status(descriptor) is { } status) files.Add(status.Id);
            }
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false; // it ended meanwhile
        }
    }

    private static bool IsWritten(string process, string descriptor)
    {
        foreach (var line in File.ReadLines($"{process}/fdinfo/{Path.GetFileName(descriptor)}"))
            if (line.StartsWith("flags:", StringComparison.Ordinal)) return line[^1] is not ('0' or '4'); // octal, access mode in the last two bits
        return false;
    }
}

/// <param name="Files">Regular files open for writing.</param>
/// <param name="Pipes">Pipes, as <c>pipe:[N]</c>.</param>
internal sealed record Held(HashSet<FileId> Files, HashSet<string> Pipes)
{
    public bool Holds(string path) => Libc.Status(path) is { } status && Files.Contains(status.Id);
}
