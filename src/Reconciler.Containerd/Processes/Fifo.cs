using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Reconciler.Containerd;

/// <summary>Named pipes, never blocking.</summary>
internal static partial class Fifo
{
    private const int ReadOnly = 0;
    private const int WriteOnly = 1;
    private const int NonBlocking = 0x800;
    private const int CloseOnExec = 0x80000;
    private const int Interrupted = 4;
    private const int NoReader = 6;
    private const int Again = 11;
    private const int BrokenPipe = 32;
    private const uint OwnerOnly = 0x180; // 0600

    /// <exception cref="IOException">It cannot be made.</exception>
    public static void Make(string path)
    {
        if (MakeFifo(path, OwnerOnly) != 0) throw Failure("make", path);
    }

    /// <exception cref="IOException">It cannot be opened.</exception>
    public static SafeFileHandle OpenRead(string path)
    {
        var handle = Open(path, ReadOnly | NonBlocking | CloseOnExec);
        return handle.IsInvalid ? throw Failure("open", path) : handle;
    }

    /// <returns>Null = nobody reads it yet.</returns>
    /// <exception cref="IOException">It cannot be opened.</exception>
    public static SafeFileHandle? OpenWrite(string path)
    {
        var handle = Open(path, WriteOnly | NonBlocking | CloseOnExec);
        if (!handle.IsInvalid) return handle;
        return Marshal.GetLastPInvokeError() == NoReader ? null : throw Failure("open", path);
    }

    public static (SafeFileHandle Read, SafeFileHandle Write) Pipe()
    {
        var ends = new int[2];
        if (MakePipe(ends, NonBlocking | CloseOnExec) != 0) throw Failure("make", "a pipe");
        return (new SafeFileHandle(ends[0], true), new SafeFileHandle(ends[1], true));
    }

    /// <returns>Bytes read; 0 = its writers are gone or have not come yet; -1 = nothing now.</returns>
    /// <exception cref="IOException">It broke.</exception>
    public static int Read(SafeFileHandle fifo, Span<byte> buffer)
    {
        var read = Read(fifo, ref MemoryMarshal.GetReference(buffer), (nuint)buffer.Length);
        if (read >= 0) return (int)read;
        return Marshal.GetLastPInvokeError() is Again or Interrupted ? -1 : throw Failure("read", "a FIFO");
    }

    /// <returns>Bytes written; -1 = no room now; null = its reader is gone.</returns>
    /// <exception cref="IOException">It broke.</exception>
    public static int? Write(SafeFileHandle fifo, ReadOnlySpan<byte> buffer)
    {
        var written = Write(fifo, ref MemoryMarshal.GetReference(buffer), (nuint)buffer.Length);
        if (written >= 0) return (int)written;
        return Marshal.GetLastPInvokeError() switch
        {
            Again or Interrupted => -1,
            BrokenPipe => null,
            _ => throw Failure("write", "a FIFO"),
        };
    }

    private static IOException Failure(string what, string path) =>
        new($"cannot {what} {path}: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}");

    [LibraryImport("libc", EntryPoint = "mkfifo", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int MakeFifo(string path, uint mode);

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial SafeFileHandle Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "pipe2", SetLastError = true)]
    private static partial int MakePipe([Out] int[] ends, int flags);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static partial nint Read(SafeFileHandle fifo, ref byte buffer, nuint count);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static partial nint Write(SafeFileHandle fifo, ref readonly byte buffer, nuint count);
}
