namespace Reconciler.Containerd;

/// <summary>Where a container's output goes.</summary>
public sealed record ContainerIO
{
    private ContainerIO(string stdout, string stderr)
    {
        Stdout = stdout;
        Stderr = stderr;
    }

    /// <summary>To /dev/null.</summary>
    public static ContainerIO None { get; } = new("", "");

    /// <summary>Path of the file for standard output; empty = /dev/null.</summary>
    public string Stdout { get; }

    /// <summary>Path of the file for standard error; empty = /dev/null.</summary>
    public string Stderr { get; }

    /// <summary>
    /// To two files, appended by the shim itself: writing goes on while this process or containerd is down. Missing files and folders are made
    /// before the task (mode 0640, folders 0750).
    /// </summary>
    /// <param name="stdoutPath">An absolute path, the same for this process and for containerd.</param>
    /// <param name="stderrPath">Likewise; it may be the same file.</param>
    /// <exception cref="ArgumentException">A path is empty or not absolute.</exception>
    public static ContainerIO Files(string stdoutPath, string stderrPath)
    {
        Require(stdoutPath, nameof(stdoutPath));
        Require(stderrPath, nameof(stderrPath));
        return new ContainerIO(stdoutPath, stderrPath);
    }

    // A missing file would make the shim fail, and one stream without the other would crash it.
    internal void MakeFiles()
    {
        foreach (var path in new[] { Stdout, Stderr })
        {
            if (path.Length == 0) continue;
            Directory.CreateDirectory(Path.GetDirectoryName(path)!, FolderMode);
            new FileStream(path, new FileStreamOptions
            {
                Mode = FileMode.Append,
                Access = FileAccess.Write,
                Share = FileShare.ReadWrite | FileShare.Delete,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead,
            }).Dispose();
        }
    }

    private const UnixFileMode FolderMode =
        UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupRead | UnixFileMode.GroupExecute;

    private static void Require(string path, string parameter)
    {
        ArgumentException.ThrowIfNullOrEmpty(path, parameter);
        if (path[0] != '/') throw new ArgumentException($"\"{path}\" is not an absolute path", parameter);
    }
}
