// Pulls an image and shows one line per layer. Usage: PullWithProgress SOCKET REFERENCE
using Reconciler.Containerd;

if (args.Length != 2)
{
    Console.Error.WriteLine("usage: PullWithProgress SOCKET REFERENCE");
    return 1;
}
var ns = Environment.GetEnvironmentVariable("CONTAINERD_NAMESPACE") ?? "default"; // as ctr has it
var hosts = Environment.GetEnvironmentVariable("CONTAINERD_HOSTS_DIR") ?? "/etc/containerd/certs.d"; // mirrors, certificates, plain http
using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, pressed) =>
{
    pressed.Cancel = true; // the pull ends by itself and keeps what it has
    stop.Cancel();
};
try
{
    await using var client = await ContainerdClient.ConnectAsync(new ContainerdClientOptions { Address = args[0], Namespace = ns, Registry = new RegistryOptions { HostsDirectory = hosts } }, stop.Token);
    var image = await client.PullImageAsync(args[1], new Lines(), cancellation: stop.Token);
    Console.WriteLine($"{image.Name} {image.Digest} {image.Size / 1e6:0.0} MB");
    return 0;
}
catch (Exception error) when (error is ContainerdException or ArgumentException or OperationCanceledException)
{
    Console.Error.WriteLine(error.Message);
    return 1;
}

/// <summary>A line whenever a part of the image changes its state, with a bar while its bytes come.</summary>
internal sealed class Lines : IProgress<ProgressInfo>
{
    private readonly Dictionary<string, string> _shown = [];

    public void Report(ProgressInfo value)
    {
        var bar = value is { Status: "downloading", Total: > 0 } ? new string('#', (int)(20 * value.Offset / value.Total)).PadRight(20, '.') : "";
        var line = $"{value.Ref[..Math.Min(value.Ref.Length, 40)],-40} {value.Status,-11} {bar}".TrimEnd();
        if (_shown.TryGetValue(value.Ref, out var last) && last == line) return;
        _shown[value.Ref] = line;
        Console.WriteLine(line);
    }
}
