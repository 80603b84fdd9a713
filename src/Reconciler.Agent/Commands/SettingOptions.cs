using System.CommandLine;
using Reconciler.Agent.Hosting;

namespace Reconciler.Agent.Commands;

/// <summary>The flags of a command's settings, and their reading together with environment and config file.</summary>
internal sealed class SettingOptions
{
    private readonly IReadOnlyList<Setting> _settings;
    private readonly Dictionary<Setting, Option> _options = [];
    private readonly Option<string> _config = new(Settings.ConfigFlag) { HelpName = "FILE", Description = $"YAML file of settings (default {Settings.DefaultConfig} where that is there)" };
    private readonly CliConsole _console;

    public SettingOptions(Command command, IReadOnlyList<Setting> settings, CliConsole console)
    {
        (_settings, _console) = (settings, console);
        command.Options.Add(_config);
        foreach (var setting in settings)
        {
            Option option = setting.Shape switch
            {
                SettingShape.Switch => new Option<bool>(setting.Flag),
                SettingShape.Repeatable => new Option<string[]>(setting.Flag) { Arity = ArgumentArity.OneOrMore },
                _ => new Option<string>(setting.Flag),
            };
            option.Description = setting.Summary;
            if (setting.Placeholder.Length > 0) option.HelpName = setting.Placeholder;
            _options.Add(setting, option);
            command.Options.Add(option);
        }
    }

    /// <exception cref="SettingException">A value cannot be used.</exception>
    public NodeOptions Read(ParseResult parsed) => SettingsReader.Read(
        _settings,
        setting => parsed.GetResult(_options[setting]) is { Implicit: false } given ? [.. given.Tokens.Select(token => token.Value)] : null,
        parsed.GetValue(_config) ?? DefaultConfig(),
        _console.Variable);

    private string? DefaultConfig() =>
        string.IsNullOrEmpty(_console.Variable(Settings.ConfigVariable)) && File.Exists(_console.DefaultConfig) ? _console.DefaultConfig : null;
}
