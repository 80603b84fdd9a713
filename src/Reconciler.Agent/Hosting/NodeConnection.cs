using Microsoft.Extensions.Logging;
using Reconciler.Agent.Node;
using Reconciler.Containerd;

namespace Reconciler.Agent.Hosting;

/// <summary>Finds this node's containerd and connects to it.</summary>
internal static class NodeConnection
{
    /// <summary>The embedded containerd's socket when asked for, or when it is there and no address was given.</summary>
    public static string AddressOf(NodeOptions options)
    {
        var embedded = EmbeddedContainerd.SocketOf(options.StateDir);
        return options.EmbeddedContainerd || (!options.ContainerdAddressGiven && File.Exists(embedded)) ? embedded : options.ContainerdAddress;
    }

    /// <summary>Why that containerd cannot be used; null = it can, or its version says nothing.</summary>
    public static string? TooOld(string version, string address)
    {
        var numbers = version.TrimStart('v').Split('.', '-', '~', '+');
        if (numbers.Length < 2 || !int.TryParse(numbers[0], out var major) || !int.TryParse(numbers[1], out var minor)) return null;
        return (major, minor).CompareTo((1, 6)) < 0 ? $"containerd {version} at {address} is too old: 1.6 or later is needed" : null;
    }

    public static ContainerdClientOptions ClientOptions(
        NodeOptions options, TimeSpan connectTimeout, TimeProvider time, ILogger? logger, Action<EndedCall>? callEnded = null) => new()
    {
        Address = AddressOf(options),
        Namespace = options.ContainerdNamespace,
        HostRoot = options.HostRoot,
        RuntimeBinary = options.OciRuntime,
        SystemdCgroup = options.SystemdCgroup,
        ConnectTimeout = connectTimeout,
        Registry = new RegistryOptions { PlainHttpHosts = options.PlainHttp, DockerConfigPath = options.DockerConfig, HostsDirectory = options.RegistryHostsDir },
        TimeProvider = time,
        Logger = logger,
        CallEnded = callEnded,
    };

    /// <summary>For commands: a containerd that does not answer soon is an error with the remedy in it.</summary>
    /// <exception cref="Commands.CommandException">No answer within 10 s, or no socket within 1 s.</exception>
    public static async Task<ContainerdClient> ConnectAsync(NodeOptions options, TimeProvider time, CancellationToken cancellation)
    {
        var limit = TimeSpan.FromSeconds(File.Exists(AddressOf(options)) ? 10 : 1);
        try
        {
            return await ContainerdClient.ConnectAsync(ClientOptions(options, limit, time, null), cancellation);
        }
        catch (ContainerdException e)
        {
            var remedy = e.Message.Contains("permission denied", StringComparison.Ordinal) ? "run as root" : "is it running? --containerd-address names another socket";
            throw new Commands.CommandException($"containerd: {e.Message} ({remedy})");
        }
    }
}
