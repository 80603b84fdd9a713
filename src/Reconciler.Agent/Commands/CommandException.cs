namespace Reconciler.Agent.Commands;

/// <summary>Ends a command with exit code 1; the message is all that the user sees.</summary>
public sealed class CommandException(string message) : Exception(message);
