using System.Collections.Immutable;
using System.Threading.Channels;
using Reconciler.Core.Model;
using Reconciler.Core.Ports;

namespace Reconciler.Testing.Fakes;

/// <summary>A source whose states a test pushes.</summary>
public sealed class FakeSource(string name) : IDesiredSource
{
    private readonly Channel<SourceState> _states = Channel.CreateUnbounded<SourceState>();

    public string Name => name;

    public void Push(SourceState state) => _states.Writer.TryWrite(state);

    public void Declare(params DesiredResource[] resources) => Push(State(name, resources));

    public IAsyncEnumerable<SourceState> WatchAsync(CancellationToken cancellation) => _states.Reader.ReadAllAsync(cancellation);

    public static SourceState State(string source, params DesiredResource[] resources) => new()
    {
        Source = source, Synced = true, Resources = resources.ToImmutableDictionary(r => r.Key),
    };
}
