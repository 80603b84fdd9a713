namespace Reconciler.Agent.Hosting;

/// <summary>Merges flags, environment and config file, in this order of precedence, into checked options.</summary>
internal static class SettingsReader
{
    /// <param name="settings">Those the command has; a config file may hold others, which are checked all the same.</param>
    /// <param name="flag">The values a flag was given; null = not given.</param>
    /// <param name="configPath">The value of --config; null = not given.</param>
    /// <param name="environment">Looks up a variable; null or empty = not set.</param>
    /// <exception cref="SettingException">Names flag, variable or key, the value, and what is right.</exception>
    public static NodeOptions Read(
        IReadOnlyList<Setting> settings, Func<Setting, IReadOnlyList<string>?> flag, string? configPath, Func<string, string?> environment)
    {
        var path = configPath ?? NullIfEmpty(environment(Settings.ConfigVariable));
        var config = path is null ? null : ConfigFile.Read(path);
        var options = new NodeOptions { NodeName = "" };
        foreach (var setting in Settings.All)
        {
            if (config is not null && config.TryGet(setting, out var values, out var place)) options = Apply(setting, options, values, place);
            if (!settings.Contains(setting)) continue;
            if (NullIfEmpty(environment(setting.Variable)) is { } text) options = Apply(setting, options, FromVariable(setting, text), setting.Variable);
            if (flag(setting) is { } given) options = Apply(setting, options, FromFlag(setting, given), setting.Flag);
        }
        return options.NodeName.Length > 0 ? options : options with { NodeName = DefaultNodeName() };
    }

    /// <summary>A comma list; blanks around an item are dropped, and empty items.</summary>
    internal static string[] Split(string list) => list.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);

    private static IReadOnlyList<string> FromVariable(Setting setting, string text) =>
        setting.Shape is SettingShape.Repeatable or SettingShape.Pairs ? Split(text) : [text.Trim()];

    private static IReadOnlyList<string> FromFlag(Setting setting, IReadOnlyList<string> given) => setting.Shape switch
    {
        SettingShape.Pairs => [.. given.SelectMany(Split)],
        SettingShape.Switch => given.Count == 0 ? ["true"] : given,
        _ => given,
    };

    private static NodeOptions Apply(Setting setting, NodeOptions options, IReadOnlyList<string> values, string place)
    {
        try
        {
            return setting.Apply(options, values);
        }
        catch (SettingException e)
        {
            throw new SettingException($"{place}: \"{string.Join(',', values)}\" cannot be used; right is: {e.Message}");
        }
    }

    private static string DefaultNodeName()
    {
        var host = Environment.MachineName.ToLowerInvariant();
        try
        {
            return SettingValues.NodeName(host);
        }
        catch (SettingException e)
        {
            throw new SettingException($"{Settings.NodeName.Flag}: the host name \"{host}\" cannot be used, give one; right is: {e.Message}");
        }
    }

    private static string? NullIfEmpty(string? text) => string.IsNullOrEmpty(text) ? null : text;
}
