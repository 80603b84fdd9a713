using Microsoft.Extensions.Logging.Abstractions;
using Reconciler.Agent.Runtime;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.Runtime;

public sealed class NetworkFilesTests : IDisposable
{
    private readonly TempFolder _host = new();
    private readonly TempFolder _state = new();
    private readonly NetworkFiles _network;

    public NetworkFilesTests()
    {
        Directory.CreateDirectory(_host["etc"]);
        File.WriteAllText(_host["etc/resolv.conf"], "nameserver 10.0.0.1\n");
        File.WriteAllText(_host["etc/hosts"], "127.0.0.1 localhost\n10.0.0.9 other\n");
        _network = new NetworkFiles(new HostRoot(_host.Path), new WorkloadFolders(_state.Path, NullLogger.Instance));
    }

    public void Dispose()
    {
        _host.Dispose();
        _state.Dispose();
    }

    [Fact]
    public void A_network_of_its_own_has_hosts_and_hostname_only()
    {
        var files = _network.Write("ns", "web", hostNetwork: false).ToDictionary(file => file.Target, file => File.ReadAllText(file.File));
        Assert.Equal(["/etc/hosts", "/etc/hostname"], files.Keys);
        Assert.Equal("web\n", files["/etc/hostname"]);
        Assert.Contains("127.0.0.1\tlocalhost\n", files["/etc/hosts"], StringComparison.Ordinal);
        Assert.EndsWith("\tweb\n", files["/etc/hosts"], StringComparison.Ordinal);
    }

    [Fact]
    public void The_hosts_resolver_is_followed_in_the_same_inode()
    {
        _network.Follow();
        var file = _network.Write("ns", "web", hostNetwork: true).Single(file => file.Target == "/etc/resolv.conf").File;
        Assert.Equal("nameserver 10.0.0.1\n", File.ReadAllText(file));
        var inode = HostRoot.LookAt(file).Inode;

        File.WriteAllText(_host["etc/resolv.conf"], "nameserver 10.0.0.2\n# edited in place\n");
        _network.Follow();
        Assert.Equal("nameserver 10.0.0.2\n# edited in place\n", File.ReadAllText(file));

        File.WriteAllText(_host["etc/new"], "nameserver 10.0.0.3\n");
        File.Move(_host["etc/new"], _host["etc/resolv.conf"], overwrite: true);
        _network.Follow();
        Assert.Equal("nameserver 10.0.0.3\n", File.ReadAllText(file));

        File.WriteAllText(_host["elsewhere"], "nameserver 10.0.0.4\n");
        File.Delete(_host["etc/resolv.conf"]);
        File.CreateSymbolicLink(_host["etc/resolv.conf"], "/elsewhere");
        _network.Follow();
        Assert.Equal("nameserver 10.0.0.4\n", File.ReadAllText(file));
        Assert.Equal(inode, HostRoot.LookAt(file).Inode);
    }

    [Fact]
    public void The_hosts_own_names_are_there_on_its_network()
    {
        var file = _network.Write("ns", "web", hostNetwork: true).Single(file => file.Target == "/etc/hosts").File;
        Assert.Contains("10.0.0.9 other", File.ReadAllText(file), StringComparison.Ordinal);
    }

    [Fact]
    public void A_workload_of_its_own_network_is_not_given_the_hosts_resolver()
    {
        _network.Write("ns", "web", hostNetwork: false);
        _network.Follow();
        Assert.Empty(Directory.GetFiles(_state["network/ns/web"], "resolv.conf"));
    }
}
