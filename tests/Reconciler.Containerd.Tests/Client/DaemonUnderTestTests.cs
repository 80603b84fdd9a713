using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Containerd.Tests.Containers;

namespace Reconciler.Containerd.Tests.Client;

public sealed class DaemonUnderTestTests(SharedDaemon shared)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Daemon_and_shim_are_those_of_the_version_under_test()
    {
        await using var client = await shared.ConnectAsync();
        var (id, _) = await Scripts.HeldAsync(client, 0);

        var shim = Assert.Single(Leftovers.ShimsOf(shared.Daemon.Address), pid => Leftovers.CommandLine(pid).Contains($"-id {id} ", StringComparison.Ordinal));

        var bin = await Shell.OutputAsync("realpath", ContainerdDaemon.Bin);
        Assert.Equal(Path.Combine(bin.Trim(), "containerd-shim-runc-v2"), new FileInfo($"/proc/{shim}/exe").LinkTarget);
        Assert.Equal(Path.Combine(bin.Trim(), "containerd"), new FileInfo($"/proc/{shared.Daemon.Pid}/exe").LinkTarget);
        await client.DestroyContainerAsync(id, new StopOptions { Grace = TimeSpan.Zero }, Stop);
    }
}
