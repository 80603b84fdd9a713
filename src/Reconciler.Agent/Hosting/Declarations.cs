using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Reconciler.Agent.State;
using Reconciler.Core.Engine;
using Reconciler.Core.Model;
using Reconciler.Core.Ports;
using Reconciler.Sources.Files;
using Reconciler.Sources.Kubernetes;
using Reconciler.Sources.Manifests;

namespace Reconciler.Agent.Hosting;

/// <summary>The sources that the options name.</summary>
internal static class Declarations
{
    public static ManifestOptions ManifestOptionsOf(NodeOptions options) => new()
    {
        NodeName = options.NodeName, NodeLabels = options.NodeLabels, StateDir = options.StateDir,
    };

    public static IReadOnlyList<IDesiredSource> FoldersOf(NodeOptions options, TimeProvider time, ILoggerFactory loggers) =>
        [.. options.Manifests.Select(folder => new FolderSource(folder, ManifestOptionsOf(options), time, loggers.CreateLogger<FolderSource>()))];

    /// <summary>What an agent with these options would begin with, one state per source; the cluster's as the agent last knew it.</summary>
    public static IReadOnlyList<SourceState> Read(NodeOptions options, TimeProvider time) =>
        [
            .. options.Manifests.Select(folder => new FolderSource(folder, ManifestOptionsOf(options), time, NullLogger<FolderSource>.Instance).Read()),
            .. options.Kubernetes ? [KubernetesSource.Read(ManifestOptionsOf(options))] : Array.Empty<SourceState>(),
        ];

    /// <summary>What they would be if the agent's first folder had another one's content, and its others none.</summary>
    public static IReadOnlyList<SourceState> ReadInstead(string folder, NodeOptions options)
    {
        var state = ManifestReader.ReadFolder(folder, ManifestOptionsOf(options)).State;
        SourceState[] cluster = options.Kubernetes ? [KubernetesSource.Read(ManifestOptionsOf(options))] : [];
        if (options.Manifests.Count == 0) return [state, .. cluster];
        var names = options.Manifests.Select(flag => "file:" + (flag.TrimEnd('/') is { Length: > 0 } trimmed ? trimmed : "/")).ToList();
        return [Rename(state, names[0]), .. names.Skip(1).Select(name => new SourceState { Source = name, Synced = true }), .. cluster];
    }

    public static DesiredState Together(IReadOnlyList<SourceState> states)
    {
        var store = new DesiredStore(states.Select(state => state.Source));
        foreach (var state in states) store.Apply(state);
        return store.Current;
    }

    /// <summary>The options, completed by the sources of the agent that runs here or ran here last.</summary>
    public static NodeOptions WithSourcesOf(AgentState? state, NodeOptions options) =>
        options is { Manifests.Count: 0, Kubernetes: false } && state?.Agent is { } agent ? options with { Manifests = agent.Manifests, Kubernetes = agent.Kubernetes } : options;

    private static SourceState Rename(SourceState state, string name)
    {
        string Label(string label) => label.StartsWith(state.Source, StringComparison.Ordinal) ? name + label[state.Source.Length..] : label;
        return state with
        {
            Source = name,
            Resources = state.Resources.ToImmutableDictionary(pair => pair.Key, pair => pair.Value with { Source = Label(pair.Value.Source) }),
            Held = [.. state.Held.Select(Label)],
        };
    }
}
