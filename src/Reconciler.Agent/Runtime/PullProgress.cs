using Reconciler.Containerd;

namespace Reconciler.Agent.Runtime;

/// <summary>How far a pull is that runs now.</summary>
/// <param name="Items">Manifests, config and layers, in the order they turned up.</param>
public sealed record PullProgress(string Reference, DateTimeOffset StartedAt, IReadOnlyList<ProgressInfo> Items)
{
    /// <summary>Bytes fetched so far.</summary>
    public long Offset => Items.Sum(item => item.Offset);

    /// <summary>Bytes to fetch, as far as known.</summary>
    public long Total => Items.Sum(item => item.Total);

    /// <summary>0 to 100.</summary>
    public int Percent => Total > 0 ? (int)Math.Min(100, Offset * 100 / Total) : 0;
}

/// <summary>The pulls under way.</summary>
internal sealed class PullBoard(TimeProvider time)
{
    private readonly Lock _gate = new();
    private readonly List<Pull> _pulls = [];

    public IReadOnlyList<PullProgress> Snapshot()
    {
        lock (_gate) return [.. _pulls.Select(pull => new PullProgress(pull.Reference, pull.StartedAt, [.. pull.Items]))];
    }

    public Pull Begin(string reference)
    {
        var pull = new Pull(this, reference, time.GetUtcNow());
        lock (_gate) _pulls.Add(pull);
        return pull;
    }

    internal sealed class Pull(PullBoard board, string reference, DateTimeOffset startedAt) : IProgress<ProgressInfo>, IDisposable
    {
        public string Reference => reference;

        public DateTimeOffset StartedAt => startedAt;

        public List<ProgressInfo> Items { get; } = [];

        /// <summary>Bytes that were not there before.</summary>
        public long Fetched
        {
            get
            {
                lock (board._gate) return Items.Where(item => item.Ref != reference && item.StartedAt > DateTimeOffset.MinValue).Sum(item => item.Offset);
            }
        }

        public void Report(ProgressInfo value)
        {
            lock (board._gate)
            {
                var index = Items.FindIndex(item => item.Ref == value.Ref);
                if (index < 0) Items.Add(value);
                else Items[index] = value;
            }
        }

        public void Dispose()
        {
            lock (board._gate) board._pulls.Remove(this);
        }
    }
}
