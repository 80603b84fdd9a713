using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Controller;

/// <summary>Runs many writes of a kind in batches of 1, 2, 4 and so on: what the server refuses is refused once and not a thousand times.</summary>
internal static class SlowStart
{
    private const int LargestBatch = 64;

    /// <returns>The first failure of the batch that ended it; null = all were done.</returns>
    public static async Task<ClusterException?> RunAsync<T>(IReadOnlyList<T> items, Func<T, Task> write)
    {
        for (int done = 0, size = 1; done < items.Count; done += size, size = Math.Min(2 * size, LargestBatch))
        {
            try
            {
                await Task.WhenAll(items.Skip(done).Take(size).Select(write));
            }
            catch (ClusterException e)
            {
                return e;
            }
        }
        return null;
    }
}
