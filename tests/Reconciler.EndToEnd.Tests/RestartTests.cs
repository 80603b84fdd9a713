using Reconciler.Testing;
using Reconciler.Testing.Containerd;

namespace Reconciler.EndToEnd.Tests;

/// <summary><c>reconciler restart</c> on the native binary.</summary>
public sealed class RestartTests
{
    [Fact]
    public async Task A_restart_replaces_what_was_asked_for_and_counts_as_no_failure()
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("web.yaml", Manifest.Sleepers("web", "one", "two"));
        var one = await node.RunningAsync("default-web-one");
        var two = await node.RunningAsync("default-web-two");
        await node.ConvergedAsync();

        var asked = await node.RunAsync("restart", "web/one");
        Assert.Equal((0, "container/default/web/one restart asked for\n", ""), (asked.ExitCode, asked.Output, asked.Error));
        await node.ReplacedAsync("default-web-one", one);
        await node.ConvergedAsync();
        Assert.Equal(two, await node.OnlyRunningAsync("default-web-two"));

        // At once again, and again: a restart that was asked for is no crash, so none waits.
        for (var i = 2; i <= 4; i++)
        {
            one = await node.RunningAsync("default-web-one");
            two = await node.RunningAsync("default-web-two");
            Assert.Equal(0, (await node.RunAsync("restart", "web")).ExitCode);
            await node.ReplacedAsync("default-web-one", one);
            await node.ReplacedAsync("default-web-two", two);
        }
        var row = (await node.ContainersAsync()).Single(row => (string?)row["container"] == "one");
        Assert.Equal(4, (int)row["restarts"]!);
    }

    [Fact]
    public async Task One_that_is_replaced_while_it_is_asked_for_is_asked_as_its_successor()
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("web.yaml", Manifest.Sleepers("web", "one", "two"));
        var one = await node.RunningAsync("default-web-one");
        var two = await node.RunningAsync("default-web-two");
        await node.ConvergedAsync();
        using var proxy = new CallProxy(node.Daemon.Address, Path.Combine(node.Folder, "p.sock"));
        string[] through = ["--containerd-address", proxy.Address];
        Assert.Equal(1, (await node.RunAsync(["restart", "absent", .. through])).ExitCode);
        var looking = proxy.Calls; // then it asks

        var replaced = proxy.AtCall(looking, () =>
        {
            Signals.Send(one.Pid, Signals.Kill);
            Eventually.UntilAsync(async () => !(await node.ContainerIdsAsync()).Contains(one.Id), "its successor runs, and it is gone").GetAwaiter().GetResult();
        });
        var asked = await node.RunAsync(["restart", "web", .. through]);

        await replaced.WaitAsync(Eventually.DefaultLimit, TestContext.Current.CancellationToken);
        Assert.Equal((0, ""), (asked.ExitCode, asked.Error));
        Assert.Equal("container/default/web/one restart asked for\ncontainer/default/web/two restart asked for\n", asked.Output);
        await node.ReplacedAsync("default-web-two", two);
    }

    [Fact]
    public async Task It_works_under_policy_Never_and_for_an_agent_that_comes_later()
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("job.yaml", Manifest.Shell("job", "date +%s%N", "restartPolicy: Never"));
        await Eventually.UntilAsync(async () => await DoneAsync(node, 0), "the job has run");
        await node.StopAgentAsync();

        var asked = await node.RunAsync("restart", "job");
        Assert.Equal(0, asked.ExitCode);
        Assert.Contains("no agent runs here", asked.Error, StringComparison.Ordinal);
        node.StartAgent();
        await Eventually.UntilAsync(async () => await DoneAsync(node, 1), "the job has run again");
    }

    [Theory]
    [InlineData("there is no container absent in namespace default", "absent")]
    [InlineData("Required argument missing")]
    public async Task What_is_not_there_is_told(string text, params string[] targets)
    {
        await using var node = await AgentNode.StartAsync();
        var result = await node.RunAsync(["restart", .. targets]);
        Assert.Equal((1, ""), (result.ExitCode, result.Output));
        Assert.Contains(text, result.Error, StringComparison.Ordinal);
    }

    private static async Task<bool> DoneAsync(AgentNode node, int restarts) =>
        (await node.ContainersAsync()).Any(row => (string?)row["reason"] == "Completed" && (int)row["restarts"]! == restarts);
}
