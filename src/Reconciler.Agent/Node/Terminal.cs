using System.Runtime.InteropServices;

namespace Reconciler.Agent.Node;

/// <summary>The terminal behind standard input, in raw mode until disposed: every key goes to the other side, Ctrl-C too.</summary>
internal sealed unsafe partial class Terminal : IDisposable
{
    private const int Input = 0;
    private const int Error = 2;
    private const int Now = 0;
    private const nuint GetWindowSize = 0x5413;

    /// <summary>More than struct termios has anywhere.</summary>
    private const int TermiosBytes = 256;

    private readonly byte[] _before = new byte[TermiosBytes];

    /// <exception cref="IOException">Standard input is no terminal.</exception>
    public Terminal()
    {
        var raw = new byte[TermiosBytes];
        fixed (byte* before = _before, changed = raw)
        {
            if (tcgetattr(Input, before) != 0) throw new IOException("standard input is not a terminal");
            _before.CopyTo(raw, 0);
            cfmakeraw(changed);
            if (tcsetattr(Input, Now, changed) != 0) throw new IOException("the terminal cannot be put into raw mode");
        }
    }

    public static bool IsInput => isatty(Input) == 1;

    /// <summary>Size of the terminal behind standard input; null = it has none, as on a serial line.</summary>
    public static (int Columns, int Rows)? Size => SizeOf(Input);

    /// <summary>The same of standard error.</summary>
    public static (int Columns, int Rows)? ErrorSize => SizeOf(Error);

    private static (int Columns, int Rows)? SizeOf(int file)
    {
        WindowSize size;
        return ioctl(file, GetWindowSize, &size) == 0 && size is { Columns: > 0, Rows: > 0 } ? (size.Columns, size.Rows) : null;
    }

    public void Dispose()
    {
        fixed (byte* before = _before) _ = tcsetattr(Input, Now, before);
    }

    [LibraryImport("libc")]
    private static partial int isatty(int file);

    [LibraryImport("libc")]
    private static partial int tcgetattr(int file, byte* termios);

    [LibraryImport("libc")]
    private static partial int tcsetattr(int file, int when, byte* termios);

    [LibraryImport("libc")]
    private static partial void cfmakeraw(byte* termios);

    [LibraryImport("libc")]
    private static partial int ioctl(int file, nuint request, WindowSize* size);

    [StructLayout(LayoutKind.Sequential)]
    private struct WindowSize
    {
        public ushort Rows;
        public ushort Columns;
        public ushort Width;
        public ushort Height;
    }
}
