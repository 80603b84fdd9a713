using Reconciler.Agent.State;
using Reconciler.Core.Model;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.Commands;

/// <summary>The completion scripts in real interactive shells, each on a terminal of its own, with keys typed into it.</summary>
public sealed class CompletionTests : IDisposable
{
    /// <summary>
    /// zsh has pseudo terminals built in. Arguments: a FIFO, lines to complete, "--", the shell's command. The shell's prompt says that it reads keys; Ctrl-X q
    /// makes it write its line to the FIFO and begin an empty one.
    /// </summary>
    private const string Typist = """
        zmodload zsh/zpty
        exec {answers}<>$1; shift # open for good: a reader that came while the last writer leaves would see an end
        lines=(${@[1,${@[(i)--]}-1]}); shift $(($#lines + 1))
        zpty shell "$@"
        zpty -r shell shown '*READY>*' || exit 1
        for line in $lines; do
          zpty -w -n shell $line$'\t\Cxq'
          IFS= read -r -t 90 -u $answers completed || exit 1
          print -r -- $completed
        done
        zpty -d shell
        """;

    private const string ZshStart = """
        PS1='READY>'
        fpath=($ZDOTDIR/vendor-completions $fpath)
        autoload -Uz compinit
        compinit -u -d $ZDOTDIR/dump
        show() { print -r -- "$BUFFER" >$FIFO; BUFFER= }
        zle -N show
        bindkey '^Xq' show
        """;

    private const string BashStart = """
        PS1='READY>'
        source "$ZDOTDIR/completion.bash"
        bind -x '"\C-xq": printf "%s\n" "$READLINE_LINE" >"$FIFO"; READLINE_LINE='
        """;

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("bash", "--noprofile", "--rcfile", "start.bash", "-i")]
    [InlineData("zsh", "-d", "-i")]
    [InlineData("zsh", "-d", "-i", "-o", "completeinword")]
    public async Task The_first_TAB_completes_and_so_do_commands_flags_values_names_and_files(params string[] command)
    {
        await PrepareAsync();
        (string Line, string Completed)[] cases =
        [
            ("reconciler desc", "reconciler describe "),
            ("reconciler get ima", "reconciler get image"), // image, images
            ("reconciler logs --prev", "reconciler logs --previous "),
            ("reconciler get images -o j", "reconciler get images -o json "),
            ("reconciler logs we", "reconciler logs web"),
            ("reconciler logs web/s", "reconciler logs web/server "),
            ("reconciler logs -n shop web/s", "reconciler logs -n shop web/server "),
            ("true; reconciler vers", "true; reconciler version "),
            ($"reconciler validate -f {_folder["man"]}", $"reconciler validate -f {_folder["manifests"]}/"),
        ];

        var result = await Shell.RunAsync(
            "zsh", ["-f", _folder["typist"], _folder["fifo"], .. cases.Select(one => one.Line), "--", .. command.Select(word => word == "start.bash" ? _folder[word] : word)],
            new Dictionary<string, string>
            {
                ["PATH"] = $"{AppContext.BaseDirectory}:{Environment.GetEnvironmentVariable("PATH")}",
                ["ZDOTDIR"] = _folder.Path, ["FIFO"] = _folder["fifo"], ["RECONCILER_STATE_DIR"] = _folder["state"], ["TERM"] = "xterm", ["LC_ALL"] = "C.UTF-8", ["HISTFILE"] = "",
            },
            TimeSpan.FromMinutes(5));

        Assert.True(result is { ExitCode: 0, Error: "" }, $"{result}");
        Assert.Equal(cases.Select(one => one.Completed), result.Output.Split('\n')[..^1]);
    }

    private async Task PrepareAsync()
    {
        await WriteAsync("typist", Typist);
        await WriteAsync(".zshrc", ZshStart);
        await WriteAsync("start.bash", BashStart);
        Directory.CreateDirectory(_folder["manifests"]);
        Directory.CreateDirectory(_folder["vendor-completions"]);
        foreach (var (shell, file) in new[] { ("bash", "completion.bash"), ("zsh", "vendor-completions/_reconciler") })
        {
            await WriteAsync(file, (await CliRun.RunAsync(["completion", shell], _ => null, TestContext.Current.CancellationToken)).Out);
        }
        Directory.CreateDirectory(_folder["state"]);
        StateFile.Write(_folder["state/state.json"], new AgentState
        {
            Keys = [new KeyState { Kind = ResourceKind.Container, Namespace = "shop", Name = "web/server", Reason = "Running" }],
        });
        await Shell.OutputAsync("mkfifo", _folder["fifo"]);
    }

    private Task WriteAsync(string name, string text) => File.WriteAllTextAsync(_folder[name], text, TestContext.Current.CancellationToken);
}
