using System.Net;
using Reconciler.Testing;
using Reconciler.Testing.Kubernetes;

namespace Reconciler.Sources.Tests.Kubernetes;

/// <summary>The test server is what tests take it for.</summary>
public sealed class ApiServerTests(SharedApiServer shared)
{
    private static readonly CancellationToken Cancel = TestContext.Current.CancellationToken;

    [Fact]
    public async Task What_kubectl_applies_survives_a_kill_a_stop_and_an_old_copy_of_the_data_does_not_know_it()
    {
        await using var server = await ApiServer.StartAsync();
        Assert.Contains("namespace/first created", await server.ApplyAsync(Namespace("first")), StringComparison.Ordinal);

        await server.KillAsync();
        await server.StartAgainAsync();
        Assert.Equal("namespace/first\n", await server.KubectlAsync("get", "namespace", "first", "-o", "name"));

        await server.StopAsync();
        Copy(server.DataFolder, server["copy"]);
        await server.StartAgainAsync();
        await server.ApplyAsync(Namespace("second"));

        await server.StopAsync();
        Directory.Delete(server.DataFolder, recursive: true);
        Directory.Move(server["copy"], server.DataFolder);
        await server.StartAgainAsync();
        Assert.Equal("namespace/first\n", await server.KubectlAsync("get", "namespace", "first", "-o", "name"));
        Assert.Contains("NotFound", (await server.TryKubectlAsync(server.Kubeconfig, "get", "namespace", "second")).Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_token_holds_the_rights_that_are_bound_to_its_account_until_it_is_revoked()
    {
        var server = await shared.GetAsync();
        await server.ApplyAsync("""
            apiVersion: rbac.authorization.k8s.io/v1
            kind: ClusterRole
            metadata: {name: token-test}
            rules: [{apiGroups: [""], resources: [configmaps], verbs: [list]}]
            ---
            apiVersion: rbac.authorization.k8s.io/v1
            kind: ClusterRoleBinding
            metadata: {name: token-test}
            roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: token-test}
            subjects: [{kind: ServiceAccount, name: reader, namespace: default}]
            """);
        var reader = await server.TokenForAsync("default", "reader");
        var other = await server.TokenForAsync("default", "other");

        // The server takes rights from a watch of its own.
        await Eventually.UntilAsync(async () => await ListAsync(server, "configmaps", reader) == HttpStatusCode.OK, "the binding counts");
        Assert.Equal(HttpStatusCode.Forbidden, await ListAsync(server, "secrets", reader));
        Assert.Equal(HttpStatusCode.Forbidden, await ListAsync(server, "configmaps", other));

        await server.RevokeAsync(reader);
        Assert.Equal(HttpStatusCode.Unauthorized, await ListAsync(server, "configmaps", reader));
    }

    [Fact]
    public async Task A_WatchList_is_served_with_etcd_3_5() =>
        Assert.Contains("\"k8s.io/initial-events-end\":\"true\"", await WatchListAsync(await shared.GetAsync()), StringComparison.Ordinal);

    [Fact]
    public async Task A_WatchList_is_refused_with_etcd_3_4()
    {
        await using var server = await ApiServer.StartAsync(EtcdVersion.V34);
        Assert.Contains("\"type\":\"ERROR\"", await WatchListAsync(server), StringComparison.Ordinal);
    }

    /// <summary>The last of the lines that open the watch.</summary>
    private static async Task<string> WatchListAsync(ApiServer server)
    {
        using var answer = await server.Http.GetAsync(
            new Uri("/api/v1/namespaces?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=60", UriKind.Relative),
            HttpCompletionOption.ResponseHeadersRead,
            Cancel);
        using var lines = new StreamReader(await answer.Content.ReadAsStreamAsync(Cancel));
        while (await lines.ReadLineAsync(Cancel) is { } line)
            if (!line.StartsWith("{\"type\":\"ADDED\"", StringComparison.Ordinal))
                return line;
        return "the stream ended";
    }

    private static async Task<HttpStatusCode> ListAsync(ApiServer server, string resource, string token)
    {
        using var http = server.CreateHttp(token);
        using var answer = await http.GetAsync(new Uri($"/api/v1/namespaces/default/{resource}", UriKind.Relative), Cancel);
        return answer.StatusCode;
    }

    private static string Namespace(string name) => $"{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}";

    private static void Copy(string from, string to)
    {
        foreach (var file in Directory.GetFiles(from, "*", SearchOption.AllDirectories))
        {
            var target = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }
    }
}
