using Microsoft.Win32.SafeHandles;

namespace Reconciler.Containerd;

/// <summary>The FIFOs of one process, and our ends of its outputs.</summary>
/// <param name="Stdin">Path; empty = none.</param>
/// <param name="Stdout">Path.</param>
/// <param name="Stderr">Path; empty = none.</param>
internal sealed record ProcessFifos(string Stdin, string Stdout, string Stderr) : IDisposable
{
    /// <summary>A former client made them.</summary>
    public bool IsOld { get; init; }

    public SafeFileHandle? Output { get; private set; }

    public SafeFileHandle? Error { get; private set; }

    public void Make()
    {
        foreach (var path in new[] { Stdin, Stdout, Stderr })
            if (path.Length > 0) Fifo.Make(path);
    }

    public void Open()
    {
        Output = Fifo.OpenRead(Stdout);
        if (Stderr.Length > 0) Error = Fifo.OpenRead(Stderr);
    }

    public void Dispose()
    {
        Output?.Dispose();
        Error?.Dispose();
    }
}
