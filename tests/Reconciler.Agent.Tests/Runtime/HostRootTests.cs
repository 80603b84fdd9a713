using Reconciler.Agent.Runtime;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.Runtime;

public sealed class HostRootTests : IDisposable
{
    private readonly TempFolder _folder = new();
    private readonly HostRoot _host;

    public HostRootTests()
    {
        Directory.CreateDirectory(_folder["run/net"]);
        File.WriteAllText(_folder["run/net/resolv.conf"], "nameserver 10.0.0.1\n");
        Directory.CreateDirectory(_folder["etc"]);
        _host = new HostRoot(_folder.Path);
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void An_absolute_link_stays_inside_the_hosts_root()
    {
        File.CreateSymbolicLink(_folder["etc/resolv.conf"], "/run/net/resolv.conf");
        Assert.Equal(_folder["run/net/resolv.conf"], _host.Resolve("/etc/resolv.conf"));
        Assert.Equal(HostFileKind.File, _host.Look("/etc/resolv.conf").Kind);
    }

    [Fact]
    public void A_relative_link_and_a_linked_folder_are_followed()
    {
        Directory.CreateSymbolicLink(_folder["var"], "run/../run");
        File.CreateSymbolicLink(_folder["run/net/link"], "../../../../../run/net/resolv.conf");
        Assert.Equal(_folder["run/net/resolv.conf"], _host.Resolve("/var/net/link"));
    }

    [Fact]
    public void A_loop_of_links_is_an_error()
    {
        File.CreateSymbolicLink(_folder["a"], "/b");
        File.CreateSymbolicLink(_folder["b"], "/a");
        Assert.Throws<IOException>(() => _host.Resolve("/a"));
    }

    [Fact]
    public void Kinds_are_told_apart()
    {
        var real = new HostRoot("/");
        Assert.Equal(HostFileKind.Directory, _host.Look("/run").Kind);
        Assert.Equal(HostFileKind.Missing, _host.Look("/nowhere/at/all").Kind);
        Assert.Equal(HostFileKind.CharDevice, real.Look("/dev/null").Kind);
        Assert.Equal((1u, 3u), real.Look("/dev/null").Node);
    }
}
