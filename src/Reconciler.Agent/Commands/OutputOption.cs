using System.CommandLine;
using Reconciler.Agent.Commands.Output;

namespace Reconciler.Agent.Commands;

/// <summary>The flag -o.</summary>
internal sealed class OutputOption
{
    private readonly Option<string> _option = new("--output", "-o") { HelpName = "json|yaml|wide|name", Description = "form of the output (default: a table)" };

    public OutputOption(Command command)
    {
        _option.CompletionSources.Add("json", "yaml", "wide", "name");
        command.Options.Add(_option);
    }

    /// <exception cref="CommandException">An unknown form.</exception>
    public OutputFormat Read(ParseResult parsed) => parsed.GetValue(_option) switch
    {
        null => OutputFormat.Table,
        "wide" => OutputFormat.Wide,
        "json" => OutputFormat.Json,
        "yaml" => OutputFormat.Yaml,
        "name" => OutputFormat.Name,
        var other => throw new CommandException($"--output: \"{other}\" cannot be used; right is: json, yaml, wide or name"),
    };
}
