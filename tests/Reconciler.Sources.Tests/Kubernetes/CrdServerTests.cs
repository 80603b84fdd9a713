using System.Text.Json.Nodes;
using Reconciler.Core.Model;
using Reconciler.Sources.Manifests;
using Reconciler.Sources.Tests.Manifests;
using Reconciler.Testing;
using Reconciler.Testing.Kubernetes;

namespace Reconciler.Sources.Tests.Kubernetes;

/// <summary>What the API server makes of the definitions besides verdicts: defaults, columns, selectors, immutability.</summary>
public sealed class CrdServerTests(SharedApiServer shared)
{
    [Theory]
    [MemberData(nameof(CrdFieldTests.Documents), MemberType = typeof(CrdFieldTests))]
    public async Task The_server_fills_in_what_the_reader_fills_in(string plural, string every)
    {
        var server = await shared.WithCrdsAsync();
        var ns = await NamespaceAsync(server);
        const string spec = "containers: [{name: c, image: busybox}]\nimages: [{image: \"busybox:1\"}]";
        var yaml = plural == "nodeworkloads" ? ClusterDocuments.Workload(spec) : ClusterDocuments.Set($"template: {{spec: {{{spec.Replace('\n', ',')}}}}}");
        await server.ApplyAsync(yaml.Replace("name: w", $"name: w, namespace: {ns}", StringComparison.Ordinal));
        var stored = await server.KubectlAsync("get", plural, "w", "-n", ns, "-o", "json");

        foreach (var field in CrdFieldTests.KnownTo(every).Values.Where(field => field.Default is not null))
        {
            var node = field.Path.Split('.').Aggregate(JsonNode.Parse(stored), (parent, name) => parent?[name]);
            Assert.Equal((field.Path, field.Default), (field.Path, node?.ToJsonString()));
        }
        Assert.Equal(-1, (int)JsonNode.Parse(stored)!["status"]!["observedGeneration"]!);
        Assert.Equal(Resources(yaml), Resources(stored));
    }

    [Fact]
    public async Task The_node_of_a_workload_cannot_change()
    {
        var server = await shared.WithCrdsAsync();
        var ns = await NamespaceAsync(server);
        await server.ApplyAsync(Workload("w", ns));

        var patched = await server.TryKubectlAsync(server.Kubeconfig, "patch", "nwl", "w", "-n", ns, "--type", "merge", "-p", "{\"spec\": {\"nodeName\": \"n2\"}}");

        Assert.NotEqual(0, patched.ExitCode);
        Assert.Matches("spec.nodeName: .*cannot change; create another object", patched.Error);
        await server.KubectlAsync("patch", "nwl", "w", "-n", ns, "--type", "merge", "-p", "{\"spec\": {\"suspend\": true}}");
    }

    [Fact]
    public async Task Workloads_are_selected_by_node_and_shown_with_node_readiness_and_reason()
    {
        var server = await shared.WithCrdsAsync();
        var ns = await NamespaceAsync(server);
        await server.ApplyAsync(Workload("here", ns) + "---\n" + Workload("there", ns).Replace("n1", "n2", StringComparison.Ordinal));
        await server.KubectlAsync(
            "patch", "nwl", "here", "-n", ns, "--subresource", "status", "--type", "merge", "-p",
            "{\"status\": {\"conditions\": [{\"type\": \"Ready\", \"status\": \"False\", \"reason\": \"Pulling\", \"lastTransitionTime\": \"2030-01-01T00:00:00Z\"}]}}");

        var rows = (await server.KubectlAsync("get", "nwl", "-n", ns, "--field-selector", "spec.nodeName=n1")).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(["NAME", "NODE", "READY", "REASON", "AGE"], Words(rows[0]));
        Assert.Equal(["here", "n1", "False", "Pulling"], Words(Assert.Single(rows[1..])).Take(4));

        await server.ApplyAsync(ClusterDocuments.Set("").Replace("name: w", $"name: s, namespace: {ns}", StringComparison.Ordinal));
        Assert.Equal(
            ["nodeworkload.reconciler.dev/here", "nodeworkload.reconciler.dev/there", "nodeworkloadset.reconciler.dev/s"],
            (await server.KubectlAsync("get", "reconciler", "-n", ns, "-o", "name")).Split('\n', StringSplitOptions.RemoveEmptyEntries).Order(StringComparer.Ordinal));
        Assert.Equal(["NAME", "DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"], Words((await server.KubectlAsync("get", "nwls", "-n", ns)).Split('\n')[0]));
    }

    [Fact]
    public async Task Two_managers_hold_conditions_of_their_own()
    {
        var server = await shared.WithCrdsAsync();
        var ns = await NamespaceAsync(server);
        await server.ApplyAsync(Workload("w", ns));

        await ApplyConditionAsync(server, ns, "agent", "Ready");
        await ApplyConditionAsync(server, ns, "controller", "AgentLost");
        await ApplyConditionAsync(server, ns, "agent", "Stalled");

        Assert.Equal("AgentLost Stalled", await server.KubectlAsync("get", "nwl", "w", "-n", ns, "-o", "jsonpath={.status.conditions[*].type}"));
    }

    private static async Task ApplyConditionAsync(ApiServer server, string ns, string manager, string type)
    {
        var file = server[$"status-{Names.Unique()}.yaml"];
        await File.WriteAllTextAsync(file, $$"""
            apiVersion: reconciler.dev/v1alpha1
            kind: NodeWorkload
            metadata: {name: w, namespace: {{ns}}}
            status: {conditions: [{type: {{type}}, status: "True", reason: Test, lastTransitionTime: "2030-01-01T00:00:00Z"}]}
            """);
        await server.KubectlAsync("apply", "--server-side", "--subresource", "status", "--field-manager", manager, "-f", file);
    }

    private static async Task<string> NamespaceAsync(ApiServer server)
    {
        var ns = "t" + Names.Unique();
        await server.KubectlAsync("create", "namespace", ns);
        return ns;
    }

    private static string Workload(string name, string ns) =>
        $"apiVersion: reconciler.dev/v1alpha1\nkind: NodeWorkload\nmetadata: {{name: {name}, namespace: {ns}}}\nspec: {{nodeName: n1, images: [{{image: a}}]}}\n";

    private static string[] Words(string line) => line.Split(' ', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>What a document declares, but for what only a stored object has.</summary>
    private static List<DesiredResource> Resources(string document) =>
    [
        .. Assert.Single(Given.Read(document, Given.Options with { Cluster = true }).Documents).Resources.Select(resource =>
            resource is ContainerSpec container ? container with { Uid = "", Namespace = "default", Key = ResourceKey.Container("default", container.Workload, container.Name) } : resource),
    ];
}
