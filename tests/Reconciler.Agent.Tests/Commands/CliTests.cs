using System.Text;
using Reconciler.Agent.Commands;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.Commands;

public sealed class CliTests : IDisposable
{
    private const string Good = """
        apiVersion: reconciler.dev/v1alpha1
        kind: NodeWorkload
        metadata: {name: web}
        spec:
          hostNetwork: true
          containers:
          - name: server
            image: reg.example.org/app:1
        """;

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("", "agent", "controller", "plan", "get", "logs", "pull", "validate", "version")]
    [InlineData("agent", "--manifests <DIR>", "--embedded-containerd", "--log-reserve <SHARE>", "RECONCILER_STATE_DIR", "Examples:", "reconciler agent --manifests /etc")]
    [InlineData("controller", "--kubeconfig <FILE>", "--leader-election-namespace <NAME>", "--lease-namespace <NAME>", "--log-level <LEVEL>", "--log-format <FORMAT>", "--otlp-endpoint <URL>", "one leads and acts", "Examples:")]
    [InlineData("plan", "--filename <DIR>", "--node-labels", "Exit code 0", "Examples:")]
    [InlineData("get containers", "--namespace <NS>", "json|yaml|wide|name", "READY means running, until there are probes", "Examples:")]
    [InlineData("get images", "-o wide", "Examples:")]
    [InlineData("logs", "--follow", "--previous", "--tail <N>", "Examples:")]
    [InlineData("pull", "--plain-http <HOST[:PORT]>", "--docker-config <FILE>", "--registry-hosts-dir <DIR>", "Examples:")]
    [InlineData("validate", "--cluster", "Examples:")]
    [InlineData("version", "Examples:")]
    public async Task Help_goes_to_standard_output_with_flags_and_examples(string command, params string[] texts)
    {
        var (code, output, error) = await RunAsync([.. command.Split(' ', StringSplitOptions.RemoveEmptyEntries), "--help"]);

        Assert.Equal((0, ""), (code, error));
        Assert.All(texts, text => Assert.Contains(text, output, StringComparison.Ordinal));
        Assert.All(output.Split("Examples:").ElementAtOrDefault(1)?.Split('\n') ?? [], line => Assert.True(line.Length <= 80, line));
    }

    [Theory]
    [InlineData("a", 80, "a")]
    [InlineData("ab cd ef", 5, "ab cd\nef")]
    [InlineData("ab cd ef", 4, "ab\ncd\nef")]
    [InlineData("ab abcdefgh c", 4, "ab\nabcdefgh\nc")]
    [InlineData("ab cd ef", int.MaxValue, "ab cd ef")]
    public void Notes_of_help_are_as_wide_as_the_terminal_and_cut_no_word(string text, int width, string wrapped) => Assert.Equal(wrapped, ExampleHelp.Wrapped(text, width));

    [Fact]
    public async Task An_unknown_command_is_one_line_and_the_way_to_help()
    {
        var (code, output, error) = await RunAsync("fly");
        Assert.Equal((1, ""), (code, output));
        Assert.Equal(2, error.Trim().Split('\n').Length);
    }

    [Theory]
    [InlineData("reconciler --help", "")]
    [InlineData("Unrecognized", "fly")]
    [InlineData("--frob", "agent --frob")]
    [InlineData("Did you mean describe?", "descibe web")]
    [InlineData("Did you mean containers?", "get contaners")]
    [InlineData("Did you mean --manifests?", "agent --manifest a")]
    [InlineData("Did you mean --log-level?", "plan --loglevel=debug")]
    [InlineData("--log-reserve: \"7\"", "agent --manifests a --log-reserve 7")]
    [InlineData("--containerd-address: \"x\"", "get containers --containerd-address x")]
    [InlineData("give --manifests DIR", "agent")]
    [InlineData("/none/kubeconfig: there is no such file", "controller --kubeconfig /none/kubeconfig")]
    [InlineData("--containerd-address out", "agent --manifests a --embedded-containerd --containerd-address /x")]
    [InlineData("--output: \"xml\"", "get images -o xml")]
    [InlineData("--tail: \"x\"", "logs web --tail x")]
    [InlineData("exclude each other", "logs web -f --previous")]
    [InlineData("WORKLOAD or WORKLOAD/CONTAINER", "logs a/b/c")]
    [InlineData("--filename", "validate")]
    [InlineData("image reference \"a//b\":", "pull a//b")]
    public async Task Wrong_usage_is_exit_code_1_and_says_what_is_right(string text, string command)
    {
        var (code, output, error) = await RunAsync([.. command.Split(' ', StringSplitOptions.RemoveEmptyEntries)]);

        Assert.Equal((1, ""), (code, output));
        Assert.Contains(text, error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Validate_finds_every_problem_with_its_place()
    {
        File.WriteAllText(_folder["a.yaml"], Good);
        File.WriteAllText(_folder["b.yaml"], Good.Replace("name: web", "name: other", StringComparison.Ordinal).Replace("image:", "imag:", StringComparison.Ordinal));

        var (code, output, error) = await RunAsync("validate", "-f", _folder.Path);

        Assert.Equal((1, ""), (code, error));
        Assert.Contains("b.yaml:8: spec.containers[0].imag", output, StringComparison.Ordinal);
        Assert.Contains("did you mean", output, StringComparison.Ordinal);
        Assert.Contains("2 documents, for this node 1 container and 0 images;", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Validate_accepts_what_is_good_and_the_cluster_wants_a_node_name()
    {
        File.WriteAllText(_folder["a.yaml"], Good);

        Assert.Equal(0, (await RunAsync("validate", "-f", _folder.Path)).Code);
        Assert.Equal(0, (await RunAsync("validate", "-f", _folder["a.yaml"])).Code);
        var (code, output, _) = await RunAsync("validate", "-f", _folder.Path, "--cluster");

        Assert.Equal(1, code);
        Assert.Contains("spec.nodeName", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Validate_accepts_the_samples_for_a_cluster()
    {
        var (code, output, error) = await RunAsync("validate", "-f", Path.Combine(Checkout.Root, "samples/kubernetes"), "--cluster");

        Assert.Equal((0, ""), (code, error));
        Assert.Contains("7 documents", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Validate_of_a_missing_folder_is_an_error()
    {
        var (code, output, error) = await RunAsync("validate", "-f", _folder["none"]);

        Assert.Equal(1, code);
        Assert.Contains(_folder["none"], output + error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Version_works_without_containerd_and_says_so()
    {
        var (code, output, error) = await RunAsync("version");

        Assert.Equal(0, code);
        Assert.StartsWith("reconciler 0.1.0 linux-", output, StringComparison.Ordinal);
        Assert.Contains($"containerd does not answer at {_folder["c.sock"]}", error, StringComparison.Ordinal);
        Assert.Contains("\"version\": \"0.1.0\"", (await RunAsync("version", "-o", "json")).Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_config_file_of_an_installed_package_is_read_unless_another_is_named()
    {
        File.WriteAllText(_folder["default.yaml"], "state-dir: nowhere\n");
        File.WriteAllText(_folder["named.yaml"], $"state-dir: {_folder["state"]}\n");
        var cancellation = TestContext.Current.CancellationToken;

        var installed = new SharedText();
        var code = await Cli.RunAsync(["version"], new CliConsole(new SharedText(), installed) { Variable = _ => null, DefaultConfig = _folder["default.yaml"] }, cancellation);
        Assert.Equal(1, code);
        Assert.Contains("default.yaml:1: state-dir", installed.ToString(), StringComparison.Ordinal);

        var byFlag = new CliConsole(new SharedText(), new SharedText()) { Variable = _ => null, DefaultConfig = _folder["default.yaml"] };
        Assert.Equal(0, await Cli.RunAsync(["version", "--config", _folder["named.yaml"]], byFlag, cancellation));
        Assert.Equal(0, await Cli.RunAsync(["version"], byFlag with { Variable = name => name == "RECONCILER_CONFIG" ? _folder["named.yaml"] : null }, cancellation));
        Assert.Equal(0, await Cli.RunAsync(["version"], byFlag with { DefaultConfig = _folder["none.yaml"] }, cancellation));
    }

    [Fact]
    public async Task Logs_print_both_streams_while_nothing_runs()
    {
        var folder = Directory.CreateDirectory(_folder["log/default/web/server"]).FullName;
        File.WriteAllText(Path.Combine(folder, "7.out"), "one\ntwo\n");
        File.WriteAllText(Path.Combine(folder, "7.err"), "problem\n");

        Assert.Equal((0, "one\ntwo\nproblem\n", ""), await RunAsync("logs", "web"));
        Assert.Equal((0, "two\nproblem\n", ""), await RunAsync("logs", "--tail", "1", "web/server"));
        var (code, output, error) = await RunAsync("logs", "nothing");
        Assert.Equal((1, ""), (code, output));
        Assert.Contains("nothing", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("get containers")]
    [InlineData("plan -f .")]
    [InlineData("pull busybox")]
    public async Task Without_containerd_a_command_names_the_socket(string command)
    {
        var (code, _, error) = await RunAsync(command.Split(' '));

        Assert.Equal(1, code);
        Assert.Contains(_folder["c.sock"], error, StringComparison.Ordinal);
    }

    private Task<(int Code, string Out, string Error)> RunAsync(params string[] arguments) => CliRun.RunAsync(
        arguments,
        name => name switch
        {
            "RECONCILER_CONTAINERD_ADDRESS" when !arguments.Contains("--embedded-containerd") => _folder["c.sock"],
            "RECONCILER_STATE_DIR" => _folder["state"],
            "RECONCILER_LOG_DIR" => _folder["log"],
            "RECONCILER_NODE_NAME" => "node-1",
            _ => null,
        },
        TestContext.Current.CancellationToken);
}

/// <summary>The command line in this process.</summary>
internal static class CliRun
{
    public static async Task<(int Code, string Out, string Error)> RunAsync(string[] arguments, Func<string, string?> variable, CancellationToken cancellation)
    {
        var (output, error) = (new SharedText(), new SharedText());
        var code = await Cli.RunAsync(arguments, new CliConsole(output, error) { Variable = variable }, cancellation);
        return (code, output.ToString(), error.ToString());
    }
}

/// <summary>Text that one thread writes and another one reads.</summary>
internal sealed class SharedText : TextWriter
{
    private readonly StringBuilder _text = new();

    public override Encoding Encoding => Encoding.UTF8;

    public override void Write(char value) => Add(value.ToString());

    public override void Write(string? value) => Add(value);

    public override void WriteLine(string? value) => Add(value + "\n");

    public override string ToString()
    {
        lock (_text) return _text.ToString();
    }

    private void Add(string? text)
    {
        lock (_text) _text.Append(text);
    }
}
