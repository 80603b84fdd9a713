using System.Runtime.InteropServices;

namespace Reconciler.Sources.Files;

/// <summary>What tells one version of a file from another without reading it.</summary>
internal readonly record struct FileStamp(
    uint DeviceMajor, uint DeviceMinor, ulong Inode, ulong Size, long ModifiedSeconds, uint ModifiedNanoseconds, long ChangedSeconds, uint ChangedNanoseconds)
{
    public ushort Mode { get; init; }

    public bool IsDirectory => (Mode & 0xF000) == 0x4000;

    public bool IsRegular => (Mode & 0xF000) == 0x8000;

    public bool IsLink => (Mode & 0xF000) == 0xA000;

    public string Device => $"{DeviceMajor}:{DeviceMinor}";

    /// <summary>Which file it is, whatever its content.</summary>
    public (uint, uint, ulong) Id => (DeviceMajor, DeviceMinor, Inode);

    /// <summary>Null where the path leads to nothing or may not be looked at; <paramref name="error"/> is the errno then.</summary>
    public static unsafe FileStamp? Of(string path, bool followLinks, out int error)
    {
        StatBuffer buffer;
        var result = Native.Statx(Native.CurrentFolder, path, followLinks ? 0 : Native.NoFollow, Native.BasicStats, &buffer);
        error = result == 0 ? 0 : Marshal.GetLastPInvokeError();
        return result != 0 ? null : new FileStamp(
            buffer.DeviceMajor, buffer.DeviceMinor, buffer.Inode, buffer.Size,
            buffer.ModifiedSeconds, buffer.ModifiedNanoseconds, buffer.ChangedSeconds, buffer.ChangedNanoseconds) { Mode = buffer.Mode };
    }

    /// <summary>struct statx: the same on every architecture, unlike struct stat.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    internal struct StatBuffer
    {
        [FieldOffset(28)] public ushort Mode;
        [FieldOffset(32)] public ulong Inode;
        [FieldOffset(40)] public ulong Size;
        [FieldOffset(96)] public long ChangedSeconds;
        [FieldOffset(104)] public uint ChangedNanoseconds;
        [FieldOffset(112)] public long ModifiedSeconds;
        [FieldOffset(120)] public uint ModifiedNanoseconds;
        [FieldOffset(136)] public uint DeviceMajor;
        [FieldOffset(140)] public uint DeviceMinor;
    }
}
