using System.Net;
using Reconciler.Containerd.Registries;

namespace Reconciler.Containerd.Tests.Registries;

public sealed class RegistryProxyTests
{
    [Theory]
    [InlineData("http://127.0.0.1:5000/", null)]
    [InlineData("http://localhost/", null)]
    [InlineData("http://[::1]:5000/", null)]
    [InlineData("https://quay.io/", "http://proxy.test:3128/")]
    public void Loopback_is_never_reached_through_a_proxy(string registry, string? expected)
    {
        var proxy = new RegistryProxy(new WebProxy("http://proxy.test:3128/"));

        Assert.Equal(expected, proxy.GetProxy(new Uri(registry))?.ToString());
        Assert.Equal(expected is null, proxy.IsBypassed(new Uri(registry)));
    }
}
