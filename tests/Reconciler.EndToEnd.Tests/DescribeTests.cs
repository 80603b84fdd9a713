using Reconciler.Testing;

namespace Reconciler.EndToEnd.Tests;

/// <summary><c>describe</c> and <c>completion</c> on the native binary.</summary>
public sealed class DescribeTests
{
    [Fact]
    public async Task It_shows_what_runs_what_differs_and_what_happened_also_without_an_agent()
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("web.yaml", Manifest.Sleepers("web", "one", "two"));
        var one = await node.RunningAsync("default-web-one");
        await node.RunningAsync("default-web-two");
        await node.ConvergedAsync();

        var text = "";
        // The agent's own word is in state.json a moment later.
        await Eventually.UntilAsync(
            async () => (text = await DescribeAsync(node, "web/one")).Contains("Declared:     as it is\nEvents:\n", StringComparison.Ordinal), "events are described");
        Assert.Contains("Name:         web/one\nNamespace:    default\nNode:         node-1\nState:        Running for ", text, StringComparison.Ordinal);
        Assert.Contains($"Id:           {one.Id}\nPid:          {one.Pid}\n", text, StringComparison.Ordinal);
        Assert.Contains("create container with image", text, StringComparison.Ordinal);
        Assert.DoesNotContain("web/two", text, StringComparison.Ordinal);
        Assert.Contains("\n\nName:         web/two\n", await DescribeAsync(node, "web"), StringComparison.Ordinal);

        await node.StopAgentAsync();
        node.Declare("web.yaml", Manifest.Sleepers("web", "one=new", "two"));
        text = await DescribeAsync(node, "web/one");
        Assert.Contains("Declared:     otherwise; the agent would do\n  ~ default/web/one: Replacing", text, StringComparison.Ordinal);
        Assert.Contains("~ env.MARK: \"\" -> \"new\"", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task It_says_why_a_container_waits_and_until_when()
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("crash.yaml", Manifest.Shell("crash", "exit 3"));
        await Eventually.UntilAsync(
            async () => (await node.RunAsync("describe", "crash")).Output is var text
                && text.Contains("CrashLoopBackOff: Error, exit code 3", StringComparison.Ordinal) && text.Contains("as it is; looked at again in ", StringComparison.Ordinal),
            "the backoff is described");
        var absent = await node.RunAsync("describe", "absent");
        Assert.Equal((1, ""), (absent.ExitCode, absent.Output));
        Assert.Contains("there is no container absent in namespace default", absent.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("reconciler desc", "describe")]
    [InlineData("reconciler get cont", "container containers")]
    [InlineData("reconciler get images -o j", "json")]
    [InlineData("reconciler logs --prev", "--previous")]
    [InlineData("reconciler logs we", "web web/one")]
    public async Task Bash_completes_commands_flags_and_what_is_there(string line, string expected)
    {
        await using var node = await AgentNode.StartAsync();
        node.Declare("web.yaml", Manifest.Sleepers("web", "one"));
        await node.RunningAsync("default-web-one");
        await node.ConvergedAsync();
        // What bash does on TAB.
        const string script = """
            source <("$0" completion bash); PATH="$(dirname "$0"):$PATH"
            COMP_LINE=$1 COMP_POINT=${#1}; COMP_WORDS=($1); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _reconciler; echo "${COMPREPLY[*]}"
            """;
        await Eventually.UntilAsync( // names come from state.json, which is a moment behind
            async () => await Shell.RunAsync("bash", ["-c", script, AgentNode.Binary, line], node.Environment(null)) is { ExitCode: 0, Error: "", Output: var shown } && shown == expected + "\n",
            $"bash completes {line} to {expected}");
    }

    private static async Task<string> DescribeAsync(AgentNode node, string target)
    {
        var result = await node.RunAsync("describe", target);
        Assert.True(result.ExitCode == 0, result.Error);
        return result.Output;
    }
}
