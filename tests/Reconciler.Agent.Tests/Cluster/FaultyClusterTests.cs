using System.Globalization;
using Reconciler.Agent.Tests.Controller;

namespace Reconciler.Agent.Tests.Cluster;

/// <summary>The agent's half of a cluster against a model, under every fault of the link. scripts/soak.sh takes more turns.</summary>
[Collection(ControllerCollection.Name)]
public sealed class FaultyClusterTests(ControllerCluster cluster)
{
    [Fact]
    public async Task After_random_changes_under_faults_the_node_is_as_a_fresh_list_says_and_nothing_was_touched_without_cause()
    {
        var seed = Setting("RECONCILER_SEED", Random.Shared.Next());
        await using var faulty = await FaultyCluster.StartAsync(cluster, new Random(seed));
        try
        {
            for (var turn = Setting("RECONCILER_TURNS", 1); turn > 0; turn--)
            {
                await faulty.TurnAsync();
                await faulty.SettleAsync();
            }
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            throw new InvalidOperationException($"RECONCILER_SEED={seed}: {e.Message}\n{faulty.Story}", e);
        }
    }

    private static int Setting(string name, int otherwise) =>
        Environment.GetEnvironmentVariable(name) is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : otherwise;
}
