using System.Runtime.InteropServices;
using Reconciler.Agent.Commands;

namespace Reconciler.Agent;

internal static class Program
{
    public static async Task<int> Main(string[] args)
    {
        using var stop = new CancellationTokenSource();
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        return await Cli.RunAsync(args, CliConsole.OfProcess(), stop.Token);

        void Stop(PosixSignalContext signal)
        {
            signal.Cancel = true; // we end by ourselves, in order
            stop.Cancel();
        }
    }
}
