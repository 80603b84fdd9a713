using System.Collections.Immutable;
using Microsoft.Extensions.Logging.Abstractions;
using Reconciler.Sources.Kubernetes;
using Reconciler.Sources.Manifests;
using Reconciler.Testing;

namespace Reconciler.Sources.Tests.Kubernetes;

public sealed class KubernetesSourceTests
{
    [Fact]
    public async Task An_accepted_loss_waits_for_a_list_while_the_server_does_not_answer()
    {
        using var folder = new TempFolder();
        ClusterMemoryFile.In(folder.Path).Save(new ClusterMemory("100", true, ImmutableSortedDictionary<string, RememberedObject>.Empty));
        await using var server = new ScriptedServer();
        using var client = server.Connect();
        var reflector = new Reflector(client, KubernetesSource.WorkloadsPath, KubernetesSource.Selector("n"), TimeProvider.System, () => 0, NullLogger.Instance);
        var source = new KubernetesSource(reflector, new ManifestOptions { NodeName = "n", StateDir = folder.Path }, TimeProvider.System, NullLogger<KubernetesSource>.Instance);
        source.AcceptLoss();
        var states = source.WatchAsync(TestContext.Current.CancellationToken).GetAsyncEnumerator(TestContext.Current.CancellationToken);

        var next = states.MoveNextAsync().AsTask();
        await (await server.NextAsync()).AnswerAsync(403, """{"kind":"Status","code":403,"message":"no"}""");
        Assert.True(await next.WaitAsync(Eventually.DefaultLimit, TestContext.Current.CancellationToken));
        if (states.Current.Doubt != "no") Assert.True(await states.MoveNextAsync()); // a slow answer is preceded by what was on disk
        next = states.MoveNextAsync().AsTask();
        var again = await server.NextAsync();
        Assert.False(next.IsCompleted);

        await again.BeginAsync();
        await again.WriteAsync("""{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"50","annotations":{"k8s.io/initial-events-end":"true"}}}}""" + "\n");
        Assert.True(await next.WaitAsync(Eventually.DefaultLimit, TestContext.Current.CancellationToken));
        Assert.True(states.Current.Synced);
    }
}
