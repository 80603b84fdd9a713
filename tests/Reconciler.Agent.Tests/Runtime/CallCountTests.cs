using Reconciler.Testing.Containerd;

namespace Reconciler.Agent.Tests.Runtime;

public sealed class CallCountTests
{
    [Fact]
    public async Task A_full_list_costs_as_many_calls_for_many_containers_as_for_one()
    {
        await using var daemon = await ContainerdDaemon.StartAsync();
        await SharedDaemon.ImportAsync(daemon);
        using var proxy = new CallProxy(daemon.Address, Path.Combine(daemon.Folder, "p.sock"));
        await using var node = await RuntimeNode.StartAsync(daemon, collects: false, address: proxy.Address);

        await node.Runtime.ListAsync(TestContext.Current.CancellationToken);
        await node.CreateAsync(RuntimeNode.Spec("sleep 100000"));
        var few = await CallsOfListAsync(node, proxy);
        for (var i = 0; i < 8; i++) await node.CreateAsync(RuntimeNode.Spec("sleep 100000"));
        var many = await CallsOfListAsync(node, proxy);

        Assert.Equal(few, many);
        Assert.InRange(many, 1, 4);
    }

    /// <summary>The least of a few: the first also reads what is read once per image, and the time of a start is written a moment after it.</summary>
    private static async Task<int> CallsOfListAsync(RuntimeNode node, CallProxy proxy)
    {
        var least = int.MaxValue;
        for (var i = 0; i < 5; i++)
        {
            var before = proxy.Calls;
            await node.Runtime.ListAsync(TestContext.Current.CancellationToken);
            least = Math.Min(least, proxy.Calls - before);
        }
        return least;
    }
}
