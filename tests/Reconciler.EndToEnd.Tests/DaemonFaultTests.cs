using Reconciler.Testing;
using Reconciler.Testing.Containerd;

namespace Reconciler.EndToEnd.Tests;

public sealed class DaemonFaultTests
{
    [Fact]
    [Trait("containerd", "every")]
    public async Task A_restart_of_containerd_touches_nothing_and_exits_meanwhile_are_acted_on()
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("web.yaml", Manifest.Sleepers("web", "one", "two"));
        var one = await node.RunningAsync("default-web-one");
        var two = await node.RunningAsync("default-web-two");

        await node.Daemon.KillAsync();
        Signals.Send(one.Pid, Signals.Kill);
        await node.Daemon.StartAgainAsync();

        await node.ReplacedAsync("default-web-one", one);
        Assert.Equal(two, await node.RunningAsync("default-web-two"));
        await node.ConvergedAsync();
        Assert.False(node.AgentHasEnded);
        var row = Assert.Single(await node.ContainersAsync(), item => (string?)item["container"] == "two");
        Assert.Equal(0, (int?)row["restarts"]);
    }

    [Fact]
    [Trait("containerd", "every")]
    public async Task A_killed_shim_is_replaced_and_never_doubled()
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("web.yaml", Manifest.Sleepers("web", "one"));
        var one = await node.RunningAsync("default-web-one");

        Signals.Send(Assert.Single(Leftovers.ShimsOf(node.Daemon.Address)), Signals.Kill);

        var two = await node.ReplacedAsync("default-web-one", one);
        Assert.False(LiveProcess.Is(one.Pid));
        await node.ConvergedAsync();
        Assert.Equal(two, Assert.Single(await node.TasksAsync()));
        Assert.Single(await node.ContainerIdsAsync());
    }

    [Fact]
    [Trait("containerd", "every")]
    public async Task Shim_and_containerd_killed_together_the_container_is_replaced()
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("web.yaml", Manifest.Sleepers("web", "one"));
        var one = await node.RunningAsync("default-web-one");

        var shim = Assert.Single(Leftovers.ShimsOf(node.Daemon.Address));
        await node.Daemon.KillAsync();
        Signals.Send(shim, Signals.Kill);
        await node.Daemon.StartAgainAsync();

        await node.ReplacedAsync("default-web-one", one);
        Assert.False(LiveProcess.Is(one.Pid));
    }

    [Fact]
    public async Task Without_containerd_at_start_the_agent_waits_and_says_so()
    {
        await using var node = await AgentNode.StartAsync(start: false);
        await node.Daemon.StopAsync();
        node.Declare("web.yaml", Manifest.Sleepers("web", "one"));

        node.StartAgent();
        await Eventually.UntilAsync(() => node.AgentLog.Contains(node.Daemon.Address, StringComparison.Ordinal), "the log names the socket it waits for");
        Assert.False(node.AgentHasEnded);
        await node.Daemon.StartAgainAsync();

        await node.RunningAsync("default-web-one");
    }

    [Fact]
    public async Task A_second_agent_on_the_same_containerd_waits_and_says_who_holds_it()
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("web.yaml", Manifest.Sleepers("web", "one"));
        var one = await node.RunningAsync("default-web-one");
        using var empty = new TempFolder();
        Directory.CreateDirectory(empty["none"]);
        var holder = node.AgentPid.ToString(System.Globalization.CultureInfo.InvariantCulture);

        // Ends once the second agent has named the first one's pid.
        const string script = "log=$1; pid=$2; shift 2; \"$@\" 2>\"$log\" & until grep -q \"held by pid $pid\" \"$log\"; do sleep 0.1; done; kill $!; wait $!";
        var second = await Shell.RunAsync(
            "/bin/sh",
            ["-c", script, "sh", empty["log"], holder, AgentNode.Binary, "agent", "--manifests", empty["none"], "--state-dir", empty["state"], "--log-dir", empty["logs"]],
            node.Environment(null));

        Assert.Equal(0, second.ExitCode);
        Assert.Equal(one, await node.RunningAsync("default-web-one"));
    }

}
