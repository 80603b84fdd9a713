// Says how each container of a namespace ends, over restarts of containerd. Usage: WatchExits SOCKET; Ctrl-C ends it.
using Reconciler.Containerd;

if (args.Length != 1)
{
    Console.Error.WriteLine("usage: WatchExits SOCKET");
    return 1;
}
var ns = Environment.GetEnvironmentVariable("CONTAINERD_NAMESPACE") ?? "default"; // as ctr has it
using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, pressed) =>
{
    pressed.Cancel = true;
    stop.Cancel();
};
try
{
    await using var client = await ContainerdClient.ConnectAsync(new ContainerdClientOptions { Address = args[0], Namespace = ns }, stop.Token);
    await foreach (var happened in client.EventsAsync(cancellation: stop.Token))
    {
        switch (happened)
        {
            case ContainerdEvent.Gap gap: // only a list knows what ended before this
                Console.WriteLine($"watching ({gap.Reason}), {(await client.ListTasksAsync(stop.Token)).Count} containers have a process");
                break;
            case ContainerdEvent.TaskExit exit when exit.ProcessId == exit.ContainerId:
                Console.WriteLine($"{exit.ContainerId} ended with {exit.ExitCode}");
                break;
        }
    }
    return 0;
}
catch (OperationCanceledException)
{
    return 0;
}
catch (Exception error) when (error is ContainerdException or ArgumentException)
{
    Console.Error.WriteLine(error.Message);
    return 1;
}
