using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using Reconciler.Testing;

namespace Reconciler.EndToEnd.Tests;

/// <summary><c>reconciler exec</c> on the native binary.</summary>
public sealed class ExecTests : IAsyncLifetime
{
    private static readonly TimeSpan Scripted = TimeSpan.FromSeconds(90);

    private AgentNode _node = null!;

    public async ValueTask InitializeAsync()
    {
        _node = await AgentNode.StartAsync();
        _node.Declare("web.yaml", Manifest.Sleepers("web", "one"));
        _node.Declare("pair.yaml", Manifest.Sleepers("pair", "a", "b"));
        await _node.RunningAsync("default-web-one");
        await _node.RunningAsync("default-pair-a"); // of one that runs alone no name is asked for
        await _node.RunningAsync("default-pair-b");
    }

    public ValueTask DisposeAsync() => _node.DisposeAsync();

    [Fact]
    public async Task Streams_stay_apart_and_the_exit_code_is_the_commands_own()
    {
        var result = await _node.RunAsync("exec", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 7");
        Assert.Equal((7, "out\n", "err\n"), (result.ExitCode, result.Output, result.Error));
        Assert.Equal((0, "a b\n"), await ShortAsync("exec", "web/one", "--", "echo", "a b"));

        // A megabyte through standard input and back, to the byte.
        var sent = Path.Combine(_node.Folder, "sent");
        await File.WriteAllBytesAsync(sent, RandomNumberGenerator.GetBytes(1 << 20), TestContext.Current.CancellationToken);
        var back = await Shell.RunAsync("/bin/sh", ["-c", "\"$0\" exec -i web -- cat <\"$1\" | cmp - \"$1\" && echo same", AgentNode.Binary, sent], _node.Environment(null));
        Assert.Equal((0, "same\n", ""), (back.ExitCode, back.Output, back.Error));
    }

    [Theory]
    [InlineData(127, "not found", "exec", "web", "--", "nothing-of-this-name")]
    [InlineData(126, "permission denied", "exec", "web", "--", "/etc/passwd")]
    [InlineData(125, "there is no container", "exec", "absent", "--", "true")]
    [InlineData(125, "there is no container", "exec", "web", "-n", "other", "--", "true")]
    [InlineData(125, "name one of pair/a, pair/b", "exec", "pair", "--", "true")]
    [InlineData(125, "-t needs a terminal", "exec", "-t", "web", "--", "true")]
    [InlineData(125, "Required argument missing", "exec", "web")]
    [InlineData(125, "right is: WORKLOAD or WORKLOAD/CONTAINER", "exec", "a/b/c", "--", "true")]
    public async Task What_cannot_be_run_says_why_with_a_code_of_its_own(int code, string text, params string[] arguments)
    {
        var result = await _node.RunAsync(arguments);
        Assert.Equal((code, ""), (result.ExitCode, result.Output));
        Assert.Contains(text, result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_terminal_has_the_size_of_ours_and_keys_go_through_raw()
    {
        var start = new ProcessStartInfo("script", ["-qefc", $"stty rows 33 cols 101; '{AgentNode.Binary}' exec -it web -- sh", "/dev/null"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        foreach (var (key, value) in _node.Environment(null)) start.Environment[key] = value;
        using var terminal = Process.Start(start)!;
        var shown = new StringBuilder();
        var reading = ReadAsync();

        await ShownAsync("/ # ");
        await TypeAsync("stty size; tty; cat\n");
        await ShownAsync("33 101", "/dev/pts/");
        await TypeAsync("ping\n");
        await ShownAsync("ping", "ping"); // typed, and by cat
        await TypeAsync("\u0003"); // ends cat, not exec
        await ShownAsync("^C", "/ # ");
        await TypeAsync("exit 9\n");
        await reading.WaitAsync(Scripted, TestContext.Current.CancellationToken);
        await terminal.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(9, terminal.ExitCode);

        async Task TypeAsync(string keys)
        {
            await terminal.StandardInput.WriteAsync(keys);
            await terminal.StandardInput.FlushAsync(TestContext.Current.CancellationToken);
        }

        async Task ReadAsync()
        {
            var buffer = new char[1024];
            while (await terminal.StandardOutput.ReadAsync(buffer, TestContext.Current.CancellationToken) is var count and > 0)
                lock (shown) shown.Append(buffer, 0, count);
        }

        // One after the other; a shell draws its prompt anew when the size of its terminal is set.
        Task ShownAsync(params string[] texts) => Eventually.UntilAsync(
            () =>
            {
                string all;
                lock (shown) all = shown.ToString();
                var at = 0;
                return texts.All(text => (at = all.IndexOf(text, at, StringComparison.Ordinal) + 1) > 0);
            },
            $"the terminal shows {string.Join(", then ", texts)}");
    }

    [Fact]
    public async Task Told_to_end_it_ends_its_command()
    {
        var start = new ProcessStartInfo(AgentNode.Binary, ["exec", "web", "--", "sleep", "54321"]);
        foreach (var (key, value) in _node.Environment(null)) start.Environment[key] = value;
        using var exec = Process.Start(start)!;
        await Eventually.UntilAsync(async () => await SleepsAsync(), "the command runs");
        Signals.Send(exec.Id, Signals.Terminate);
        await exec.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(143, exec.ExitCode);
        Assert.False(await SleepsAsync());

        async Task<bool> SleepsAsync() => (await _node.RunAsync("exec", "web", "--", "ps")).Output.Contains("sleep 54321", StringComparison.Ordinal);
    }

    private async Task<(int, string)> ShortAsync(params string[] arguments)
    {
        var result = await _node.RunAsync(arguments);
        return (result.ExitCode, result.Output);
    }
}

/// <summary>What commands print on a terminal and what they print into a pipe.</summary>
public sealed class TerminalTests
{
    [Fact]
    public async Task A_terminal_gets_colours_and_bars_and_a_pipe_or_NO_COLOR_plain_lines()
    {
        await using var node = await AgentNode.StartAsync(start: false);
        node.Declare("web.yaml", Manifest.Sleepers("web", "one"));
        var plain = await node.RunAsync("plan", "--manifests", node.Manifests);
        Assert.StartsWith("+ default/web/one: ", plain.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("\e", plain.Output, StringComparison.Ordinal);

        Assert.Contains("\e[32m+ default/web/one: ", await InTerminalAsync(node, "", "plan", "--manifests", node.Manifests), StringComparison.Ordinal);
        Assert.DoesNotContain("\e[32m", await InTerminalAsync(node, "1", "plan", "--manifests", node.Manifests), StringComparison.Ordinal);

        var pull = await InTerminalAsync(node, "", "pull", SharedRegistry.Busybox);
        Assert.Contains($"\e[J{SharedRegistry.Busybox}: ", pull, StringComparison.Ordinal);
        Assert.Contains($"{SharedRegistry.Busybox} sha256:", pull, StringComparison.Ordinal);
        var again = await node.RunAsync("pull", SharedRegistry.Busybox);
        Assert.DoesNotContain("\e", again.Error, StringComparison.Ordinal);
    }

    private static async Task<string> InTerminalAsync(AgentNode node, string noColor, params string[] arguments)
    {
        var environment = node.Environment(null);
        environment["NO_COLOR"] = noColor;
        environment["TERM"] = "xterm";
        var result = await Shell.RunAsync("script", ["-qefc", $"'{AgentNode.Binary}' {string.Join(' ', arguments)}", "/dev/null"], environment);
        return result.Output;
    }
}
