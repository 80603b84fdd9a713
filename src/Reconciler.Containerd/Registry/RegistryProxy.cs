using System.Net;

namespace Reconciler.Containerd.Registries;

/// <summary>The environment's proxy, but never for loopback: a proxy elsewhere cannot reach a registry on this node.</summary>
internal sealed class RegistryProxy(IWebProxy environment) : IWebProxy
{
    public ICredentials? Credentials
    {
        get => environment.Credentials;
        set => environment.Credentials = value;
    }

    public Uri? GetProxy(Uri destination) => IsBypassed(destination) ? null : environment.GetProxy(destination);

    public bool IsBypassed(Uri host) => host.IsLoopback || environment.IsBypassed(host);
}
