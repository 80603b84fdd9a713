using System.Runtime.InteropServices;

namespace Reconciler.Agent.Commands;

/// <summary>Notices that the reader of our standard output is gone, as in <c>logs -f | head</c>, even while nothing is written.</summary>
internal static partial class PipeReader
{
    private const int Stdout = 1;
    private const int Interrupted = -1;
    private const int Forever = -1;
    private const short PollErrorOrHangUp = 0x8 | 0x10;

    /// <summary>Cancelled once the reader is gone. Costs one sleeping thread until the process ends.</summary>
    public static CancellationToken Gone()
    {
        var gone = new CancellationTokenSource();
        new Thread(() =>
        {
            var descriptor = new PollDescriptor { Fd = Stdout };
            while (Poll(ref descriptor, 1, Forever) == Interrupted)
            {
            }
            if ((descriptor.Happened & PollErrorOrHangUp) != 0) gone.Cancel();
        })
        { IsBackground = true, Name = "stdout" }.Start();
        return gone.Token;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct PollDescriptor
    {
        public int Fd;
        public short Wanted;
        public short Happened;
    }

    [LibraryImport("libc", EntryPoint = "poll")]
    private static partial int Poll(ref PollDescriptor descriptors, nuint count, int timeoutMilliseconds);
}
