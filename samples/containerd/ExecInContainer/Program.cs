// Runs a further process in a running container. Usage: ExecInContainer SOCKET CONTAINER COMMAND...
using Reconciler.Containerd;

if (args.Length < 3)
{
    Console.Error.WriteLine("usage: ExecInContainer SOCKET CONTAINER COMMAND...");
    return 1;
}
var ns = Environment.GetEnvironmentVariable("CONTAINERD_NAMESPACE") ?? "default"; // as ctr has it
try
{
    await using var client = await ContainerdClient.ConnectAsync(new ContainerdClientOptions { Address = args[0], Namespace = ns });
    var started = await client.ExecContainerAsync(new ExecProcess
    {
        ContainerId = args[1],
        ExecId = $"exec-{Environment.ProcessId}",
        Process = new OciProcess { Args = args[2..] },
        IO = ContainerIO.Streams(Console.OpenStandardInput(), Console.OpenStandardOutput(), Console.OpenStandardError()),
    });
    return (await started.Exit).ExitCode ?? 1;
}
catch (Exception error) when (error is ContainerdException or ArgumentException)
{
    Console.Error.WriteLine(error.Message);
    return 1;
}
