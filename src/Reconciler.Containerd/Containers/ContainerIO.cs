using System.IO.Pipelines;

namespace Reconciler.Containerd;

/// <summary>
/// Where the standard streams of a process come from and go to: a container's first process (<see cref="Container.IO"/>) or a further one
/// (<see cref="ExecProcess.IO"/>). Streams, pipes and callbacks go over FIFOs (<see cref="ContainerdClientOptions.FifoDirectory"/>). A process that
/// writes faster than its output is taken waits, as on any full pipe, so no output is lost and little is held: up to about 300 KiB between
/// the two, here and in the shim. That holds also while nobody is attached, after the end of this program: the process blocks until
/// <see cref="ContainerdClient.RecoverContainerAsync"/>. What must run unattended writes to <see cref="Files"/>.
/// </summary>
public sealed record ContainerIO
{
    private const UnixFileMode FolderMode =
        UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupRead | UnixFileMode.GroupExecute;

    private ContainerIO()
    {
    }

    /// <summary>No input, and the output to /dev/null.</summary>
    public static ContainerIO None { get; } = new();

    /// <summary>
    /// The process gets a terminal of its own, whose one output is the standard output; see <see cref="ContainerdClient.ResizeAsync(string, int, int,
    /// CancellationToken)"/>. The end of the input does not end a terminal's: write byte 4 (Ctrl-D) for that. Not with <see cref="Files"/>.
    /// </summary>
    public bool Terminal { get; init; }

    internal string StdoutFile { get; private init; } = "";

    internal string StderrFile { get; private init; } = "";

    internal InputSource? Input { get; private init; }

    internal OutputTarget? Output { get; private init; }

    internal OutputTarget? Error { get; private init; }

    internal bool IsStreamed => Terminal || Input is not null || Output is not null || Error is not null;

    /// <summary>
    /// To two files, appended by the shim itself: writing goes on while this process or containerd is down. Missing files and folders are made
    /// before the task (mode 0640, folders 0750). There is no input.
    /// </summary>
    /// <param name="stdoutPath">An absolute path, the same for this process and for containerd.</param>
    /// <param name="stderrPath">Likewise; it may be the same file.</param>
    /// <exception cref="ArgumentException">A path is empty or not absolute.</exception>
    public static ContainerIO Files(string stdoutPath, string stderrPath)
    {
        Require(stdoutPath, nameof(stdoutPath));
        Require(stderrPath, nameof(stderrPath));
        return new ContainerIO { StdoutFile = stdoutPath, StderrFile = stderrPath };
    }

    /// <summary>From and to streams, none of which is closed.</summary>
    /// <param name="stdin">
    /// Read to its end, which the process sees then; null = no input. What was read and the process did not take before its exit is lost.
    /// </param>
    /// <param name="stdout">Written and at the end flushed; what follows its first exception is dropped. Null = dropped.</param>
    /// <param name="stderr">Likewise.</param>
    /// <exception cref="ArgumentException">The input cannot be read, or an output not written.</exception>
    public static ContainerIO Streams(Stream? stdin = null, Stream? stdout = null, Stream? stderr = null)
    {
        if (stdin is { CanRead: false }) throw new ArgumentException("it cannot be read", nameof(stdin));
        if (stdout is { CanWrite: false }) throw new ArgumentException("it cannot be written", nameof(stdout));
        if (stderr is { CanWrite: false }) throw new ArgumentException("it cannot be written", nameof(stderr));
        return new ContainerIO { Input = InputSource.Of(stdin), Output = OutputTarget.Of(stdout), Error = OutputTarget.Of(stderr) };
    }

    /// <summary>
    /// From and to pipes, whose other ends the caller has as streams (<c>pipe.Writer.AsStream()</c>, <c>pipe.Reader.AsStream()</c>). Each is completed:
    /// an output at its end, with an <see cref="IOException"/> where some of it is missing because the client was closed or nobody took it; the input,
    /// without an exception, once the process does not read any more; all of them when the process cannot be started.
    /// </summary>
    /// <param name="stdin">Completing its writer is the end of the input; null = no input.</param>
    /// <param name="stdout">Once its reader is completed, further output is dropped. Null = dropped.</param>
    /// <param name="stderr">Likewise.</param>
    public static ContainerIO Pipes(PipeReader? stdin = null, PipeWriter? stdout = null, PipeWriter? stderr = null) => new()
    {
        Input = InputSource.Of(stdin),
        Output = OutputTarget.Of(stdout),
        Error = OutputTarget.Of(stderr),
    };

    /// <summary>
    /// To callbacks, which get the output in order, in pieces of at most 64 KiB, one at a time: the next comes after the task of the one before has
    /// completed, until when the process waits. A piece is valid until then. What follows the first exception of a callback is dropped.
    /// </summary>
    /// <param name="stdout">Null = dropped. Its token is cancelled when the client is closed or the output given up.</param>
    /// <param name="stderr">Likewise; it may be called at the same time as the other.</param>
    /// <param name="stdin">As for <see cref="Streams"/>.</param>
    /// <exception cref="ArgumentException">The input cannot be read.</exception>
    public static ContainerIO Callback(
        Func<ReadOnlyMemory<byte>, CancellationToken, ValueTask>? stdout,
        Func<ReadOnlyMemory<byte>, CancellationToken, ValueTask>? stderr = null,
        Stream? stdin = null)
    {
        if (stdin is { CanRead: false }) throw new ArgumentException("it cannot be read", nameof(stdin));
        return new ContainerIO { Input = InputSource.Of(stdin), Output = OutputTarget.Of(stdout), Error = OutputTarget.Of(stderr) };
    }

    /// <param name="terminal">The process gets one.</param>
    /// <exception cref="ArgumentException">The two do not go together.</exception>
    internal void Validate(bool terminal)
    {
        if (!terminal) return;
        if (StdoutFile.Length > 0)
            throw new ArgumentException("the output of a terminal cannot go to files: give a stream, a pipe or a callback");
        if (Error is not null) throw new ArgumentException("a terminal has one output: leave stderr out");
    }

    // A missing file would make the shim fail, and one stream without the other would crash it.
    internal void MakeFiles()
    {
        foreach (var path in new[] { StdoutFile, StderrFile })
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

    /// <summary>Tells pipes that nothing comes. Those completed already are left alone.</summary>
    internal async Task FailAsync(Exception why)
    {
        if (Input is not null) await Input.EndAsync();
        if (Output is not null) await Output.EndAsync(why, CancellationToken.None);
        if (Error is not null) await Error.EndAsync(why, CancellationToken.None);
    }

    private static void Require(string path, string parameter)
    {
        ArgumentException.ThrowIfNullOrEmpty(path, parameter);
        if (path[0] != '/') throw new ArgumentException($"\"{path}\" is not an absolute path", parameter);
    }
}
