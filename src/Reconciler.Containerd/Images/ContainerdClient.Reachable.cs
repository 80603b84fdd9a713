using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Reconciler.Containerd.Images;
using Reconciler.Containerd.Registries;

namespace Reconciler.Containerd;

/// <content>Whether a pull could work now.</content>
public sealed partial class ContainerdClient
{
    /// <summary>Whether the registry of an image answers at all: any HTTP answer to GET /v2/ counts, a refusal included. Tried for some seconds.</summary>
    /// <param name="reference">Any reference to an image of it.</param>
    /// <param name="cancellation">Ends the attempts.</param>
    /// <exception cref="ArgumentException">Not a reference.</exception>
    public async Task<bool> IsRegistryReachableAsync(string reference, CancellationToken cancellation = default)
    {
        var endpoint = RegistryEndpoint.For(ImageReference.Parse(reference), Options.Registry.PlainHttpHosts);
        using var transport = new RegistryTransport(Time, Options.Logger ?? NullLogger.Instance);
        try
        {
            using var answer = await transport.SendAsync(
                () => new HttpRequestMessage(HttpMethod.Get, new Uri(endpoint.Base, "v2/")), follow: false, endpoint.Domain, cancellation);
            return true;
        }
        catch (PullException)
        {
            return false;
        }
    }
}
