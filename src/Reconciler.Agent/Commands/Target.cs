using Reconciler.Core.Model;
using Reconciler.Core.Ports;

namespace Reconciler.Agent.Commands;

/// <summary>A container as commands name it: WORKLOAD or WORKLOAD/CONTAINER, and a namespace.</summary>
internal sealed record Target(string Namespace, string Workload, string? Container)
{
    /// <exception cref="CommandException">It is neither of the two.</exception>
    public static Target Parse(string text, string? ns)
    {
        var parts = text.Split('/');
        if (parts.Length > 2 || parts.Any(part => part.Length == 0 || part[0] == '.')) throw new CommandException($"\"{text}\" cannot be used; right is: WORKLOAD or WORKLOAD/CONTAINER");
        return new Target(ns ?? "default", parts[0], parts.Length > 1 ? parts[1] : null);
    }

    public bool Names(ResourceKey key) =>
        key.Kind == ResourceKind.Container && key.Namespace == Namespace
        && (Container is null ? key.Name.StartsWith(Workload + "/", StringComparison.Ordinal) : key.Name == $"{Workload}/{Container}");

    /// <summary>The one running container that is meant.</summary>
    /// <exception cref="CommandException">None, or more than one.</exception>
    public ActualContainer FindRunning(NodeObservation node)
    {
        var found = node.Resources.Where(pair => Names(pair.Key) && pair.Value.Containers.Count > 0).OrderBy(pair => pair.Key.Name, StringComparer.Ordinal).ToList();
        var running = found.Where(pair => pair.Value.Containers.Any(container => container.State == ContainerState.Running)).ToList();
        return running.Count switch
        {
            1 => running[0].Value.Containers.First(container => container.State == ContainerState.Running),
            0 when found.Count > 0 => throw new CommandException($"{this} does not run; see: reconciler describe {this}"),
            0 => throw new CommandException($"there is no container {this} in namespace {Namespace}; see: reconciler get containers -A"),
            _ => throw new CommandException($"{Workload} has several: name one of {string.Join(", ", running.Select(pair => pair.Key.Name))}"),
        };
    }

    public override string ToString() => Container is null ? Workload : $"{Workload}/{Container}";
}
