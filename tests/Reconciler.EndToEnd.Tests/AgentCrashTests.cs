using Reconciler.Testing;
using Reconciler.Testing.Containerd;

namespace Reconciler.EndToEnd.Tests;

public sealed class AgentCrashTests
{
    /// <summary>scripts/soak.sh sets 1000.</summary>
    private static readonly int Kills = int.Parse(System.Environment.GetEnvironmentVariable("RECONCILER_KILLS") ?? "25", System.Globalization.CultureInfo.InvariantCulture);

    [Fact]
    [Trait("containerd", "every")]
    public async Task Sigterm_ends_the_agent_and_leaves_the_containers()
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("web.yaml", Manifest.Sleepers("web", "one", "two"));
        var one = await node.RunningAsync("default-web-one");
        var two = await node.RunningAsync("default-web-two");

        Assert.Equal(0, await node.StopAgentAsync(within: 3 * TimeSpan.FromSeconds(5))); // three times the promise

        Assert.Equal(one, await node.RunningAsync("default-web-one"));
        node.StartAgent();
        await node.ConvergedAsync();
        Assert.Equal([one, two], (await node.TasksAsync()).OrderBy(task => task.Id, StringComparer.Ordinal));
    }

    [Fact]
    [Trait("containerd", "every")]
    public async Task An_exit_while_the_agent_is_down_is_acted_on_at_its_start()
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("web.yaml", Manifest.Sleepers("web", "one"));
        var one = await node.RunningAsync("default-web-one");
        await node.KillAgentAsync();
        Signals.Send(one.Pid, Signals.Kill);

        node.StartAgent();

        await node.ReplacedAsync("default-web-one", one);
    }

    [Fact]
    public async Task Killed_at_random_instants_while_specs_change_it_ends_as_declared_and_touches_nothing_else()
    {
        await using var node = await AgentNode.StartAsync();
        // "still" never changes: its pids must outlive every kill.
        node.Declare("still.yaml", Manifest.Sleepers("still", [.. Enumerable.Range(0, 6).Select(i => $"s{i}")]));
        for (var i = 0; i < 6; i++) await node.RunningAsync($"default-still-s{i}");
        var still = (await node.TasksAsync()).ToDictionary(task => task.Id, task => task.Pid);
        var random = new Random(7);

        for (var round = 1; round <= Kills; round++)
        {
            node.Declare("moving.yaml", Manifest.Sleepers("moving", [.. Enumerable.Range(0, 1 + random.Next(4)).Select(i => $"m{i}={random.Next(2)}")]));
            await Task.Delay(random.Next(700), TestContext.Current.CancellationToken);
            await node.KillAgentAsync();
            node.StartAgent();
        }
        node.Declare("moving.yaml", Manifest.Sleepers("moving", "m0=last", "m1=last"));

        await Eventually.UntilAsync(
            async () => (await node.ContainerIdsAsync()).Count == 8 && (await node.TasksAsync()).Count(task => task.Status == "RUNNING") == 8,
            "exactly the declared ones are left",
            TimeSpan.FromMinutes(3));
        await node.ConvergedAsync();
        var now = (await node.TasksAsync()).ToDictionary(task => task.Id, task => task.Pid);
        foreach (var (id, pid) in still) Assert.Equal(pid, now.GetValueOrDefault(id));
        // A create cut off by a kill can leave its shim to nobody; a full list, once a minute, ends it.
        await Eventually.UntilAsync(() => Leftovers.ShimsOf(node.Daemon.Address).Count == 8, "no shim is left over", TimeSpan.FromMinutes(3));
        var snapshots = (await node.Daemon.CtrAsync("snapshots", "ls")).Split('\n').Count(line => line.StartsWith("default-", StringComparison.Ordinal));
        Assert.Equal(8, snapshots);
    }

    [Theory]
    [InlineData("create")]
    [InlineData("replace")]
    [InlineData("delete")]
    public async Task Killed_at_every_call_of_an_action_the_next_agent_finishes_it(string action)
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("base.yaml", Manifest.Sleepers("base", "b")); // the image is there afterwards
        await node.RunningAsync("default-base-b");

        for (var call = 1; ; call++)
        {
            node.Declare("w.yaml", Manifest.Sleepers("w", "c=old"));
            if (action == "create") node.Withdraw("w.yaml");
            else await node.RunningAsync("default-w-c");
            await node.ConvergedAsync();
            await node.StopAgentAsync();

            using var proxy = new CallProxy(node.Daemon.Address, Path.Combine(node.Folder, $"p{call}.sock"));
            var ready = node.AgentLog.Split("READY").Length;
            node.StartAgent(proxy.Address);
            await Eventually.UntilAsync(() => node.AgentLog.Split("READY").Length > ready && proxy.IsQuiet, "the agent has settled");
            // From here on, calls are those of the action; the agent dies as its call-th leaves it.
            var fired = proxy.KillAtCall(call, node.AgentPid);
            if (action == "delete") node.Withdraw("w.yaml");
            else node.Declare("w.yaml", Manifest.Sleepers("w", "c=new"));

            await Eventually.UntilAsync(async () => fired.IsCompleted || (proxy.IsQuiet && await DoneAsync(node, action)), $"call {call} or the end");
            var last = !fired.IsCompleted;
            await node.KillAgentAsync();
            node.StartAgent();
            await Eventually.UntilAsync(() => DoneAsync(node, action), $"finished after death at call {call}");
            await node.ConvergedAsync();
            Assert.Equal(action == "delete" ? 1 : 2, (await node.ContainerIdsAsync()).Count);
            if (last) break;
            Assert.True(call < 60, "an action of one container is a few calls");
        }
    }

    private static async Task<bool> DoneAsync(AgentNode node, string action)
    {
        var ids = (await node.ContainerIdsAsync()).Where(id => id.StartsWith("default-w-c-", StringComparison.Ordinal)).ToList();
        if (action == "delete") return ids.Count == 0;
        if (ids.Count != 1 || await node.OnlyRunningAsync("default-w-c") is null) return false;
        try
        {
            return (await node.Daemon.CtrAsync("containers", "info", ids[0])).Contains("MARK=new", StringComparison.Ordinal);
        }
        catch (InvalidOperationException e) when (e.Message.Contains("not found", StringComparison.Ordinal))
        {
            return false; // it was the old one, and went meanwhile
        }
    }
}
