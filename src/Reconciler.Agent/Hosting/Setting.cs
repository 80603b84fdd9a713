namespace Reconciler.Agent.Hosting;

internal enum SettingShape
{
    Single,

    /// <summary>The flag may be given several times, one value each; the variable holds a comma list, the config file a list.</summary>
    Repeatable,

    /// <summary>One flag with a comma list of key=value; in the config file a mapping.</summary>
    Pairs,

    /// <summary>A flag without a value, or =true / =false.</summary>
    Switch,
}

/// <summary>One setting: its flag, environment variable and config key are the same word in three spellings.</summary>
/// <param name="Name">containerd-address: the flag without dashes and the key of the config file.</param>
/// <param name="Placeholder">What <c>--help</c> shows for the value.</param>
/// <param name="Summary">One line for <c>--help</c>.</param>
/// <param name="Apply">Puts checked values into the options; throws <see cref="SettingException"/> that says what is right.</param>
internal sealed record Setting(
    string Name, string Placeholder, string Summary, SettingShape Shape, Func<NodeOptions, IReadOnlyList<string>, NodeOptions> Apply)
{
    public string Flag => "--" + Name;

    public string Variable => "RECONCILER_" + Name.Replace('-', '_').ToUpperInvariant();
}
