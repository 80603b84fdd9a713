using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.Text;

namespace Reconciler.Agent.Commands;

/// <summary>A command whose <c>--help</c> ends with notes and examples.</summary>
internal sealed class ExampleCommand(string name, string description, params string[] examples) : Command(name, description)
{
    public IReadOnlyList<string> Examples { get; } = examples;

    /// <summary>Said between options and examples; may be empty.</summary>
    public string Notes { get; init; } = "";
}

internal sealed class ExampleHelp(HelpAction inner) : SynchronousCommandLineAction
{
    private const string Precedence = "A flag goes before its environment variable (--state-dir: RECONCILER_STATE_DIR), that before the key of --config (state-dir).";

    public override int Invoke(ParseResult parseResult)
    {
        var result = inner.Invoke(parseResult);
        if (parseResult.CommandResult.Command is not ExampleCommand command) return result;
        var output = parseResult.InvocationConfiguration.Output;
        if (command.Notes.Length > 0) output.WriteLine(Wrapped(command.Notes, inner.MaxWidth) + "\n");
        if (command.Options.Any(option => option.Name == Hosting.Settings.ConfigFlag)) output.WriteLine(Wrapped(Precedence, inner.MaxWidth) + "\n");
        if (command.Examples.Count == 0) return result;
        output.WriteLine("Examples:");
        foreach (var example in command.Examples) output.WriteLine("  " + example);
        return result;
    }

    /// <summary>As wide as the help above it: a terminal would cut words.</summary>
    internal static string Wrapped(string text, int width)
    {
        var lines = new StringBuilder();
        var column = 0;
        foreach (var word in text.Split(' '))
        {
            var fits = column + 1 + word.Length <= width;
            if (column > 0) lines.Append(fits ? ' ' : '\n');
            column = fits && column > 0 ? column + 1 + word.Length : word.Length;
            lines.Append(word);
        }
        return lines.ToString();
    }
}
