using System.CommandLine;
using System.CommandLine.Completions;
using Reconciler.Agent.Hosting;
using Reconciler.Agent.State;
using Reconciler.Core.Model;

namespace Reconciler.Agent.Commands;

/// <summary><c>reconciler completion bash|zsh</c>: a script that asks this program what may come next.</summary>
internal static class CompletionCommand
{
    private const string Bash = """
        # bash completion of reconciler; needs nothing else
        _reconciler() {
          local IFS=$'\n'
          COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" "[suggest:$COMP_POINT]" "$COMP_LINE" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
        }
        complete -o default -F _reconciler reconciler

        """;

    private const string Zsh = """
        #compdef reconciler
        # zsh completion of reconciler: compinit loads it from a folder in fpath, or it is sourced after compinit
        _reconciler() {
          local line="${(j: :)words[1,CURRENT-1]} $PREFIX"
          local -a found=(${(f)"$("${words[1]}" "[suggest:${#line}]" "$line" 2>/dev/null)"})
          compadd -a found || _files
        }
        # Loaded by compinit this file is the function's first call; all it defines would complete nothing then.
        if [[ "${funcstack[1]}" == _reconciler ]]; then _reconciler "$@"; else compdef _reconciler reconciler; fi

        """;

    public static Command Build(CliConsole console)
    {
        var command = new ExampleCommand(
            "completion",
            "Print a completion script for a shell.",
            "source <(reconciler completion bash)",
            "reconciler completion bash >/etc/bash_completion.d/reconciler",
            "reconciler completion zsh >\"${fpath[1]}/_reconciler\"");
        var shell = new Argument<string>("SHELL") { Description = "bash or zsh" };
        shell.AcceptOnlyFromAmong("bash", "zsh");
        command.Arguments.Add(shell);
        command.SetAction(parsed =>
        {
            console.Out.Write(parsed.GetRequiredValue(shell) == "bash" ? Bash : Zsh);
            return Cli.Done;
        });
        return command;
    }

    /// <summary>WORKLOAD and WORKLOAD/CONTAINER of what the agent last knew, of the default state dir or the one in the environment. Nothing where it cannot be read.</summary>
    public static IEnumerable<CompletionItem> Targets(CliConsole console)
    {
        var folder = console.Variable("RECONCILER_STATE_DIR") is { Length: > 0 } given ? given : new NodeOptions { NodeName = "" }.StateDir;
        IReadOnlyList<KeyState> keys = StateMemory.Read(folder, console.Time.GetUtcNow()).State?.Keys ?? [];
        return keys
            .Where(key => key.Kind == ResourceKind.Container && key.Reason != "Removed")
            .SelectMany(key => new[] { key.Name[..key.Name.IndexOf('/', StringComparison.Ordinal)], key.Name })
            .Distinct()
            .Order(StringComparer.Ordinal)
            .Select(name => new CompletionItem(name));
    }
}
