using System.Diagnostics;
using Reconciler.Core.Planning;

namespace Reconciler.Agent.State;

/// <summary>Says an action in a few words, for logs and events. Never holds an env value.</summary>
public static class ActionText
{
    public static string Of(NodeAction action) => action switch
    {
        NodeAction.PullImage pull => $"pull image {pull.Reference}",
        NodeAction.CreateContainer create => $"create container with image {create.Spec.Process.Image}",
        NodeAction.StopContainer stop => $"stop container {stop.Id}",
        NodeAction.DeleteContainer delete => $"delete container {delete.Id}",
        NodeAction.RecordExit exit => $"record exit of {exit.Id}",
        NodeAction.AdoptContainer adopt => $"adopt container {adopt.Id} for {adopt.Source}",
        NodeAction.RemoveImage remove => $"remove image {remove.Reference}",
        NodeAction.MarkImage { UnusedSince: null } mark => $"mark image {mark.Reference} as used",
        NodeAction.MarkImage mark => $"mark image {mark.Reference} as unused",
        _ => throw new UnreachableException(action.GetType().Name),
    };

    /// <summary>The image an action names; empty for those that name none.</summary>
    public static string ImageOf(NodeAction action) => action switch
    {
        NodeAction.PullImage pull => pull.Reference,
        NodeAction.CreateContainer create => create.Spec.Process.Image,
        _ => "",
    };
}
