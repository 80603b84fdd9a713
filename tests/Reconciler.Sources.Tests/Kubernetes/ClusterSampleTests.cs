using Reconciler.Sources.Manifests;
using Reconciler.Sources.Tests.Manifests;
using Reconciler.Testing;

namespace Reconciler.Sources.Tests.Kubernetes;

/// <summary>The samples for a cluster: kubectl, the API server and the reader in cluster mode take each as it stands.</summary>
public sealed class ClusterSampleTests(SharedApiServer shared)
{
    private static readonly string Folder = Path.Combine(Checkout.Root, "samples/kubernetes");

    public static TheoryData<string> Files => [.. Directory.GetFiles(Folder).Select(file => Path.GetFileName(file)!).Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Files))]
    public async Task The_API_server_takes_it(string file)
    {
        var server = await shared.WithCrdsAsync();
        var told = await server.TryKubectlAsync(server.Kubeconfig, "apply", "--dry-run=server", "-f", Path.Combine(Folder, file));
        Assert.Equal((0, ""), (told.ExitCode, told.Error));
        Assert.All(told.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries), line => Assert.EndsWith("created (server dry run)", line, StringComparison.Ordinal));
    }

    /// <summary>Only of hostNetwork there is something to remark.</summary>
    [Fact]
    public void The_reader_takes_them_with_the_rules_of_a_cluster()
    {
        var folder = ManifestReader.ReadFolder(Folder, Given.Options with { Cluster = true });

        Assert.All(folder.Problems, problem => Assert.Equal((true, "spec.hostNetwork"), (problem.Warning, problem.Field.Replace("template.spec.", "", StringComparison.Ordinal))));
        Assert.Equal(
            ["default/cache", "default/heartbeat", "default/hello", "default/images", "default/job", "default/suspended", "default/web"],
            folder.Documents.Select(document => document.Identity!).Order(StringComparer.Ordinal));
    }
}
