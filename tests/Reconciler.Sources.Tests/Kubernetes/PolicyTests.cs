using Reconciler.Testing;
using static Reconciler.Sources.Tests.Kubernetes.InstalledCluster;

namespace Reconciler.Sources.Tests.Kubernetes;

/// <summary>Each admission policy of the install with what it allows and what it denies.</summary>
public sealed class PolicyTests(InstalledCluster cluster) : IClassFixture<InstalledCluster>
{
    private const string Leases = "/apis/coordination.k8s.io/v1/namespaces/reconciler-system/leases/";

    public static TheoryData<string, string> Privileges => new()
    {
        { "hostNetwork", "hostNetwork: true" },
        { "hostPID", "hostPID: true" },
        { "hostPath", "volumes: [{name: v, hostPath: {path: /etc}}]" },
        { "privileged", "containers: [{name: c, image: a}, {name: d, image: a, securityContext: {privileged: true}}]" },
        { "capabilities.add", "containers: [{name: c, image: a, securityContext: {capabilities: {add: [CHOWN]}}}]" },
        { "seccompProfile Unconfined", "containers: [{name: c, image: a, securityContext: {seccompProfile: {type: Unconfined}}}]" },
    };

    [Fact]
    public async Task Kubectl_installs_all_of_it_and_finds_nothing_to_change_afterwards()
    {
        var diff = await cluster.Server.TryKubectlAsync(cluster.Server.Kubeconfig, "diff", "-k", Base);
        Assert.Equal((0, ""), (diff.ExitCode, diff.Output));
        Assert.Equal("0 1", await GetAsync("daemonset", "reconciler-agent", "{.spec.updateStrategy.rollingUpdate.maxSurge} {.spec.updateStrategy.rollingUpdate.maxUnavailable}"));
        Assert.Equal("2", await GetAsync("deployment", "reconciler-controller", "{.spec.replicas}"));
    }

    [Fact]
    public async Task An_agent_writes_the_status_of_its_own_node_only()
    {
        string name = "w" + Names.Unique(), other = "w" + Names.Unique();
        await cluster.Server.ApplyAsync($"{Workload(name, "n1")}---\n{Workload(other, "n2")}");
        using var agent = await cluster.AgentAsync("n1");
        using var nobody = await cluster.AgentAsync(node: null);
        using var controller = await cluster.ControllerAsync();

        await AllowedAsync(() => WriteStatusAsync(agent, name));
        await DeniedAsync(() => WriteStatusAsync(agent, other), "reconciler-own-node-status", "node n2");
        await DeniedAsync(() => WriteStatusAsync(nobody, name), "reconciler-own-node-status");
        await AllowedAsync(() => WriteStatusAsync(controller, other));
    }

    [Fact]
    public async Task An_agent_writes_the_Lease_of_its_own_node_only()
    {
        using var agent = await cluster.AgentAsync("n1");
        using var impostor = await cluster.AgentAsync("reconciler-controller");
        using var nobody = await cluster.AgentAsync(node: null);
        using var controller = await cluster.ControllerAsync();

        await AllowedAsync(() => ApplyLeaseAsync(agent, "n1")); // makes it
        await AllowedAsync(() => ApplyLeaseAsync(agent, "n1")); // renews it
        await DeniedAsync(() => ApplyLeaseAsync(agent, "n2"), "reconciler-own-lease");
        await DeniedAsync(() => ApplyLeaseAsync(agent, "reconciler-controller"), "reconciler-own-lease");
        await DeniedAsync(() => ApplyLeaseAsync(impostor, "reconciler-controller"), "reconciler-own-lease");
        await DeniedAsync(() => ApplyLeaseAsync(nobody, "n1"), "reconciler-own-lease");
        await AllowedAsync(() => SendAsync(controller, HttpMethod.Post, Leases.TrimEnd('/') + "?dryRun=All", Lease("reconciler-controller")));
    }

    [Theory]
    [MemberData(nameof(Privileges))]
    public async Task What_asks_for_power_over_the_node_takes_a_verb(string named, string asks)
    {
        using var tenant = await cluster.TenantAsync();
        using var trusted = await cluster.TenantAsync("run-privileged");
        using var controller = await cluster.ControllerAsync();
        var workload = ClusterDocuments.Workload(asks.Contains("containers", StringComparison.Ordinal) ? asks : asks + "\nimages: [{image: a}]");
        var set = ClusterDocuments.Set($"template: {{spec: {{images: [{{image: a}}], {asks}}}}}");

        await AllowedAsync(() => CreateAsync(trusted, Workloads, workload));
        await AllowedAsync(() => CreateAsync(trusted, Sets, set));
        await AllowedAsync(() => CreateAsync(controller, Workloads, workload));
        await DeniedAsync(() => CreateAsync(tenant, Workloads, workload), "reconciler-privileged", $"{named}: takes the verb");
        await DeniedAsync(() => CreateAsync(tenant, Sets, set), "reconciler-privileged", $"{named}: takes the verb");
    }

    [Fact]
    public async Task What_asks_for_nothing_needs_no_verb()
    {
        using var tenant = await cluster.TenantAsync();
        const string spec = "containers: [{name: c, image: a, securityContext: {privileged: false, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}}]\nvolumes: [{name: v, emptyDir: {}}]\nhostPID: false";

        await AllowedAsync(() => CreateAsync(tenant, Workloads, ClusterDocuments.Workload(spec)));
        await AllowedAsync(() => CreateAsync(tenant, Sets, ClusterDocuments.Set("")));
    }

    [Fact]
    public async Task Somebody_without_the_verb_changes_all_but_the_spec_of_what_has_it()
    {
        var name = "w" + Names.Unique();
        await cluster.Server.ApplyAsync(Workload(name, "n1").Replace("images:", "hostNetwork: true, images:", StringComparison.Ordinal));
        using var tenant = await cluster.TenantAsync();

        await AllowedAsync(() => PatchAsync(tenant, name, "{\"metadata\": {\"labels\": {\"a\": \"b\"}}}"));
        await DeniedAsync(() => PatchAsync(tenant, name, "{\"spec\": {\"suspend\": true}}"), "reconciler-privileged", "hostNetwork: takes the verb");
        await AllowedAsync(() => PatchAsync(tenant, name, "{\"spec\": {\"hostNetwork\": false}}"));
    }

    [Fact]
    public async Task A_namespace_that_is_privileged_for_pods_is_so_for_workloads()
    {
        var ns = "t" + Names.Unique();
        await cluster.Server.KubectlAsync("create", "namespace", ns);
        await cluster.Server.ApplyAsync($$"""
            apiVersion: rbac.authorization.k8s.io/v1
            kind: ClusterRoleBinding
            metadata: {name: {{ns}}}
            roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ns}}}
            subjects: [{kind: ServiceAccount, name: tenant, namespace: {{ns}}}]
            ---
            apiVersion: rbac.authorization.k8s.io/v1
            kind: ClusterRole
            metadata: {name: {{ns}}}
            rules: [{apiGroups: [reconciler.dev], resources: [nodeworkloads], verbs: [create]}]
            """);
        using var tenant = cluster.Server.CreateHttp(await cluster.Server.TokenForAsync(ns, "tenant"));
        var path = Workloads.Replace("/default/", $"/{ns}/", StringComparison.Ordinal);
        var workload = ClusterDocuments.Workload("hostNetwork: true\nimages: [{image: a}]");

        await DeniedAsync(() => CreateAsync(tenant, path, workload), "reconciler-privileged");
        await cluster.Server.KubectlAsync("label", "namespace", ns, "pod-security.kubernetes.io/enforce=baseline");
        await DeniedAsync(() => CreateAsync(tenant, path, workload), "reconciler-privileged");
        await cluster.Server.KubectlAsync("label", "--overwrite", "namespace", ns, "pod-security.kubernetes.io/enforce=privileged");
        await AllowedAsync(() => CreateAsync(tenant, path, workload));
    }

    private Task<string> GetAsync(string kind, string name, string path) =>
        cluster.Server.KubectlAsync("get", kind, name, "-n", InstalledCluster.Namespace, "-o", $"jsonpath={path}");

    private static Task<Answer> CreateAsync(HttpClient http, string path, string yaml) => SendAsync(http, HttpMethod.Post, path + "?dryRun=All", yaml);

    private static Task<Answer> PatchAsync(HttpClient http, string name, string patch) =>
        SendAsync(http, HttpMethod.Patch, $"{Workloads}/{name}?dryRun=All", patch, "application/merge-patch+json");

    private static Task<Answer> WriteStatusAsync(HttpClient http, string name) => ApplyAsync(
        http, $"{Workloads}/{name}/status", $"{{apiVersion: reconciler.dev/v1alpha1, kind: NodeWorkload, metadata: {{name: {name}, namespace: default}}, status: {{observedGeneration: 1}}}}");

    private static Task<Answer> ApplyLeaseAsync(HttpClient http, string name) => ApplyAsync(http, Leases + name, Lease(name));

    private static string Lease(string name) =>
        $"{{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {{name: {name}, namespace: reconciler-system}}, spec: {{holderIdentity: me, leaseDurationSeconds: 180}}}}";

    private static string Workload(string name, string node) =>
        $"apiVersion: reconciler.dev/v1alpha1\nkind: NodeWorkload\nmetadata: {{name: {name}, namespace: default}}\nspec: {{nodeName: {node}, images: [{{image: a}}]}}\n";
}
