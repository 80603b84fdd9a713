using System.Net;

namespace Reconciler.Sources.Tests.Kubernetes;

/// <summary>What the accounts of the install may do, asked of the API server right by right; everything that is not listed is refused.</summary>
public sealed class RightsTests(InstalledCluster cluster) : IClassFixture<InstalledCluster>
{
    private const string Ours = "/apis/reconciler.dev/v1alpha1/namespaces/default/";
    private const string Own = "/apis/coordination.k8s.io/v1/namespaces/reconciler-system/leases";

    private static readonly string[] Verbs = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];

    private static readonly (string Name, string Path, bool IsPart)[] Resources =
    [
        ("nodeworkloads", Ours + "nodeworkloads", false),
        ("nodeworkloads/status", Ours + "nodeworkloads/x/status", true),
        ("nodeworkloadsets", Ours + "nodeworkloadsets", false),
        ("nodeworkloadsets/status", Ours + "nodeworkloadsets/x/status", true),
        ("events", "/apis/events.k8s.io/v1/namespaces/default/events", false),
        ("leases here", Own, false),
        ("leases elsewhere", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", false),
        ("nodes", "/api/v1/nodes", false),
        ("nodes/status", "/api/v1/nodes/x/status", true),
        ("secrets", "/api/v1/namespaces/default/secrets", false),
        ("secrets here", "/api/v1/namespaces/reconciler-system/secrets", false),
        ("configmaps", "/api/v1/namespaces/default/configmaps", false),
        ("serviceaccounts", "/api/v1/namespaces/reconciler-system/serviceaccounts", false),
        ("namespaces", "/api/v1/namespaces", false),
        ("clusterroles", "/apis/rbac.authorization.k8s.io/v1/clusterroles", false),
        ("clusterrolebindings", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", false),
        ("rolebindings", "/apis/rbac.authorization.k8s.io/v1/namespaces/reconciler-system/rolebindings", false),
        ("policies", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies", false),
        ("definitions", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", false),
        ("daemonsets", "/apis/apps/v1/namespaces/reconciler-system/daemonsets", false),
    ];

    [Fact]
    public async Task The_agent_reads_workloads_and_writes_status_events_and_a_Lease()
    {
        using var agent = await cluster.AgentAsync("n1");
        await AreAsync(agent,
            "create events", "create leases here", "get nodeworkloads", "list nodeworkloads", "patch events", "patch leases here",
            "patch nodeworkloads/status", "watch nodeworkloads");
    }

    [Fact]
    public async Task The_controller_writes_workloads_and_status_and_reads_sets_and_nodes()
    {
        using var controller = await cluster.ControllerAsync();
        await AreAsync(controller,
            "create events", "create leases here", "create nodeworkloads", "delete nodeworkloads", "get nodes", "get nodeworkloads", "get nodeworkloadsets",
            "list leases here", "list nodes", "list nodeworkloads", "list nodeworkloadsets", "patch nodeworkloads", "patch nodeworkloads/status",
            "patch nodeworkloadsets/status", "watch leases here", "watch nodes", "watch nodeworkloads", "watch nodeworkloadsets");
    }

    [Fact]
    public async Task The_controller_reads_and_updates_the_Lease_of_the_election_alone()
    {
        using var controller = await cluster.ControllerAsync();
        await InstalledCluster.AllowedAsync(() => InstalledCluster.SendAsync(controller, HttpMethod.Get, Own));

        foreach (var method in new[] { HttpMethod.Get, HttpMethod.Put })
        {
            Assert.True(await IsGrantedAsync(controller, method, $"{Own}/reconciler-controller"));
            Assert.False(await IsGrantedAsync(controller, method, $"{Own}/n1"));
        }
    }

    private static async Task AreAsync(HttpClient account, params string[] expected)
    {
        // Both roles of an account count once the server has seen the last of their bindings.
        await InstalledCluster.AllowedAsync(() => InstalledCluster.SendAsync(account, HttpMethod.Get, Ours + "nodeworkloads"));
        await Testing.Eventually.UntilAsync(() => IsGrantedAsync(account, HttpMethod.Post, Own), "the role of the namespace counts");
        var granted = new List<string>();
        foreach (var (name, path, isPart) in Resources)
            foreach (var verb in Verbs.Where(verb => !isPart || verb is "get" or "update" or "patch"))
                if (await IsGrantedAsync(account, MethodOf(verb), PathOf(verb, path, isPart)))
                    granted.Add($"{verb} {name}");

        Assert.Equal(expected, granted.Order(StringComparer.Ordinal));
    }

    /// <summary>Rights are looked at before the body, which says nothing.</summary>
    private static async Task<bool> IsGrantedAsync(HttpClient account, HttpMethod method, string path)
    {
        var body = method == HttpMethod.Get || method == HttpMethod.Delete ? null : "{}";
        var type = method == HttpMethod.Patch ? "application/merge-patch+json" : "application/json";
        var answer = await InstalledCluster.SendAsync(account, method, path, body, type);
        return answer.Status != HttpStatusCode.Forbidden || !answer.Body.Contains(" cannot ", StringComparison.Ordinal);
    }

    private static HttpMethod MethodOf(string verb) => verb switch
    {
        "create" => HttpMethod.Post,
        "update" => HttpMethod.Put,
        "patch" => HttpMethod.Patch,
        "delete" or "deletecollection" => HttpMethod.Delete,
        _ => HttpMethod.Get,
    };

    private static string PathOf(string verb, string path, bool isPart) => verb switch
    {
        "watch" => path + "?watch=1&timeoutSeconds=1",
        "get" or "update" or "patch" or "delete" when !isPart => path + "/no-such-thing?dryRun=All",
        "list" => path,
        _ => path + "?dryRun=All",
    };
}
