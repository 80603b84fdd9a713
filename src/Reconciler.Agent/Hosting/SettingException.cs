namespace Reconciler.Agent.Hosting;

/// <summary>A value of a flag, a variable or the config file that cannot be used; the message says what would be right.</summary>
public sealed class SettingException(string message) : Exception(message);
