using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Reconciler.Agent.Node;

/// <summary>Names a file whatever its path.</summary>
internal readonly record struct FileId(uint Major, uint Minor, ulong Inode);

internal readonly record struct FileStatus(FileId Id, long Size, int BlockSize);

/// <summary>The system calls .NET does not offer. Failures are <see cref="IOException"/> with the errno as HResult, as .NET's own are.</summary>
internal static unsafe partial class Libc
{
    public const int NoSpace = 28;
    public const int QuotaExceeded = 122;
    private const int NoEntry = 2;
    private const int Interrupted = 4;
    private const int WouldBlock = 11;
    private const int NotDirectory = 20;
    private const int NoSuchOffset = 6;
    private const int Unsupported = 95;
    private const int AtCurrentFolder = -100;
    private const int AtEmptyPath = 0x1000;
    private const int BasicStats = 0x7ff;
    private const int KeepSize = 1;
    private const int Punch = 2;
    private const int Collapse = 8;
    private const int SeekData = 3;
    private const int ReadWriteCreate = 0x2 | 0x40;
    private const int CloseOnExec = 0x80000;
    private const int LockExclusive = 2;
    private const int LockNoWait = 4;

    /// <summary>Null = there is no such file.</summary>
    public static FileStatus? Status(string path)
    {
        StatusBuffer buffer;
        if (statx(AtCurrentFolder, path, 0, BasicStats, &buffer) == 0) return buffer.ToStatus();
        var error = Marshal.GetLastPInvokeError();
        return error is NoEntry or NotDirectory ? null : throw Failure("stat", path, error);
    }

    public static FileStatus Status(SafeFileHandle file)
    {
        StatusBuffer buffer;
        return statx(file, "", AtEmptyPath, BasicStats, &buffer) == 0 ? buffer.ToStatus() : throw Failure("stat", "an open file", Marshal.GetLastPInvokeError());
    }

    /// <summary>Frees the first bytes; they read as zeros and the size stays.</summary>
    public static void PunchStart(SafeFileHandle file, long length) => Allocate(file, KeepSize | Punch, length, "punch a hole");

    /// <summary>Removes the first bytes; what follows moves to the front. Length: whole blocks, less than the size.</summary>
    public static void CollapseStart(SafeFileHandle file, long length) => Allocate(file, Collapse, length, "collapse a range");

    public static bool IsUnsupported(IOException failure) => failure.HResult == Unsupported;

    /// <summary>Nothing but a hole in the first <paramref name="length"/> bytes.</summary>
    public static bool StartsWithHole(SafeFileHandle file, long length) => HoleAtStart(file) is not { } hole || hole >= length;

    /// <summary>Bytes before the first data; null = there is no data at all.</summary>
    public static long? HoleAtStart(SafeFileHandle file)
    {
        var data = lseek(file, 0, SeekData);
        if (data >= 0) return data;
        var error = Marshal.GetLastPInvokeError();
        return error == NoSuchOffset ? null : throw Failure("seek", "an open file", error);
    }

    /// <summary>Opens for reading and writing without the lock that .NET itself takes on every file it opens.</summary>
    public static SafeFileHandle OpenOrCreate(string path, int mode)
    {
        var file = open(path, ReadWriteCreate | CloseOnExec, mode);
        return file.IsInvalid ? throw Failure("open", path, Marshal.GetLastPInvokeError()) : file;
    }

    /// <summary>False = someone else holds it. It goes with the last handle of this opening, also by SIGKILL.</summary>
    public static bool TryLock(SafeFileHandle file)
    {
        while (flock(file, LockExclusive | LockNoWait) != 0)
        {
            var error = Marshal.GetLastPInvokeError();
            if (error == WouldBlock) return false;
            if (error != Interrupted) throw Failure("lock", "an open file", error);
        }
        return true;
    }

    /// <summary>Makes renames and removals in the folder durable.</summary>
    public static void FlushFolder(string path)
    {
        using var folder = open(path, CloseOnExec, 0);
        if (folder.IsInvalid || fsync(folder) != 0) throw Failure("sync", path, Marshal.GetLastPInvokeError());
    }

    public static void Signal(int pid, int signal) => _ = kill(pid, signal);

    private static void Allocate(SafeFileHandle file, int mode, long length, string what)
    {
        while (fallocate(file, mode, 0, length) != 0)
        {
            var error = Marshal.GetLastPInvokeError();
            if (error != Interrupted) throw Failure(what, "an open file", error);
        }
    }

    private static IOException Failure(string what, string path, int error) =>
        new($"cannot {what}: {path}: {Marshal.GetPInvokeErrorMessage(error)}", error);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int statx(int folder, string path, int flags, uint mask, StatusBuffer* buffer);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int statx(SafeFileHandle file, string path, int flags, uint mask, StatusBuffer* buffer);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fallocate(SafeFileHandle file, int mode, long offset, long length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial long lseek(SafeFileHandle file, long offset, int whence);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle open(string path, int flags, int mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int flock(SafeFileHandle file, int operation);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(SafeFileHandle file);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int kill(int pid, int signal);

    /// <summary>struct statx: the same on every architecture, unlike struct stat.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct StatusBuffer
    {
        [FieldOffset(4)]
        public uint BlockSize;

        [FieldOffset(32)]
        public ulong Inode;

        [FieldOffset(40)]
        public ulong Size;

        [FieldOffset(136)]
        public uint Major;

        [FieldOffset(140)]
        public uint Minor;

        public readonly FileStatus ToStatus() => new(new FileId(Major, Minor, Inode), (long)Size, (int)BlockSize);
    }
}
