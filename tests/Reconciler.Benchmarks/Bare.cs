using Reconciler.Containerd;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.Benchmarks;

/// <summary>The same calls as the agent's, without an agent: the client library in a loop.</summary>
internal static class Bare
{
    public static Task<ContainerdClient> ConnectAsync(ContainerdDaemon daemon, Registry registry, string suffix = "") => ContainerdClient.ConnectAsync(
        new ContainerdClientOptions
        {
            Address = daemon.Address,
            Namespace = daemon.Namespace + suffix,
            Registry = new RegistryOptions { PlainHttpHosts = [registry.Host] },
        });

    /// <summary>Host network, a log file and the default seccomp filter, as the agent's own containers have them.</summary>
    public static Container Container(string id, string image, string folder)
    {
        var spec = DefaultSpec.Create(id, "bench");
        spec.Linux!.Namespaces = [.. spec.Linux.Namespaces!.Where(ns => ns.Type != "network")];
        spec.Linux.Seccomp = DefaultSeccomp.Create(spec.Process!.Capabilities!.Bounding!);
        return new Container
        {
            Id = id,
            Image = image,
            Spec = spec,
            Command = ["sleep", "1000000"],
            IO = ContainerIO.Files(Path.Combine(folder, id + ".out"), Path.Combine(folder, id + ".err")),
        };
    }
}
