// Runs a command of an image as `docker run --rm -i` does: its streams are this program's, and so is its exit code.
// Usage: RunContainer SOCKET IMAGE [COMMAND...]
using Reconciler.Containerd;

if (args.Length < 2)
{
    Console.Error.WriteLine("usage: RunContainer SOCKET IMAGE [COMMAND...]");
    return 1;
}
var id = $"run-{Environment.ProcessId}-{DateTimeOffset.UtcNow.ToUnixTimeMilliseconds()}";
var ns = Environment.GetEnvironmentVariable("CONTAINERD_NAMESPACE") ?? "default"; // as ctr has it
var hosts = Environment.GetEnvironmentVariable("CONTAINERD_HOSTS_DIR") ?? "/etc/containerd/certs.d"; // mirrors, certificates, plain http
using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, pressed) =>
{
    pressed.Cancel = true; // first the container ends, then this program
    stop.Cancel();
};
try
{
    await using var client = await ContainerdClient.ConnectAsync(new ContainerdClientOptions { Address = args[0], Namespace = ns, Registry = new RegistryOptions { HostsDirectory = hosts } }, stop.Token);
    var image = await client.PullImageAsync(args[1], cancellation: stop.Token);
    await client.CreateContainerAsync(
        new Container
        {
            Id = id,
            Image = image.Name,
            Command = args[2..],
            Spec = DefaultSpec.Create(id) with { Hostname = "sample" },
            IO = ContainerIO.Streams(Console.OpenStandardInput(), Console.OpenStandardOutput(), Console.OpenStandardError()),
        },
        stop.Token);
    try
    {
        return (await client.ProbeContainerAsync(id, TimeSpan.Zero, stop.Token)).ExitCode ?? 1;
    }
    finally
    {
        await client.DestroyContainerAsync(id, new StopOptions { Grace = TimeSpan.FromSeconds(2) }, CancellationToken.None);
    }
}
catch (OperationCanceledException)
{
    return 130;
}
catch (Exception error) when (error is ContainerdException or ArgumentException)
{
    Console.Error.WriteLine(error.Message);
    return 1;
}
