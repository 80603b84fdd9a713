using System.Net;
using System.Net.Http.Headers;
using System.Text;
using Reconciler.Testing;
using Reconciler.Testing.Kubernetes;

namespace Reconciler.Sources.Tests.Kubernetes;

/// <summary>An API server with the install of manifests/base, made by kubectl as the README says.</summary>
public sealed class InstalledCluster : IAsyncLifetime
{
    public const string Namespace = "reconciler-system";
    public const string Workloads = "/apis/reconciler.dev/v1alpha1/namespaces/default/nodeworkloads";
    public const string Sets = "/apis/reconciler.dev/v1alpha1/namespaces/default/nodeworkloadsets";

    public static readonly string Base = Path.Combine(Checkout.Root, "manifests/base");

    public ApiServer Server { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        Server = await ApiServer.StartAsync();
        await Server.KubectlAsync("apply", "-k", Base);
        await Server.KubectlAsync("wait", "--for", "condition=Established", "--timeout", "90s", "crd", "nodeworkloads.reconciler.dev", "nodeworkloadsets.reconciler.dev");
        await Crd.UntilServedAsync(Server);
    }

    public ValueTask DisposeAsync() => Server.DisposeAsync();

    /// <summary>A client with the token of an account of the install.</summary>
    public async Task<HttpClient> AgentAsync(string? node) => Server.CreateHttp(await Server.TokenForAsync(Namespace, "reconciler-agent", node));

    public async Task<HttpClient> ControllerAsync() => Server.CreateHttp(await Server.TokenForAsync(Namespace, "reconciler-controller", "n9"));

    /// <summary>An account of the namespace default that may write both kinds there and nothing else; more verbs on nodeworkloads as given.</summary>
    public async Task<HttpClient> TenantAsync(params string[] verbs)
    {
        var name = "tenant-" + Names.Unique();
        await Server.ApplyAsync($$"""
            apiVersion: rbac.authorization.k8s.io/v1
            kind: Role
            metadata: {name: {{name}}, namespace: default}
            rules:
            - {apiGroups: [reconciler.dev], resources: [nodeworkloads, nodeworkloadsets], verbs: [get, create, update, patch, delete, {{string.Join(", ", verbs)}}]}
            ---
            apiVersion: rbac.authorization.k8s.io/v1
            kind: RoleBinding
            metadata: {name: {{name}}, namespace: default}
            roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{name}}}
            subjects: [{kind: ServiceAccount, name: {{name}}, namespace: default}]
            """.Replace(", ]", "]", StringComparison.Ordinal));
        return Server.CreateHttp(await Server.TokenForAsync("default", name));
    }

    /// <summary>The server looks at roles and policies through watches of its own, so each answer is waited for.</summary>
    public static Task AllowedAsync(Func<Task<Answer>> request) => UntilAsync(request, answer => answer.Status is >= HttpStatusCode.OK and < HttpStatusCode.MultipleChoices, "allowed");

    public static Task DeniedAsync(Func<Task<Answer>> request, string by, string message = "") => UntilAsync(
        request,
        answer => answer.Status == HttpStatusCode.Forbidden && answer.Body.Contains(by, StringComparison.Ordinal) && answer.Body.Contains(message, StringComparison.Ordinal),
        $"denied by {by}: {message}");

    public static async Task<Answer> SendAsync(HttpClient http, HttpMethod method, string path, string? body = null, string type = "application/yaml")
    {
        using var request = new HttpRequestMessage(method, new Uri(path, UriKind.Relative));
        if (body is not null) request.Content = new StringContent(body, Encoding.UTF8, new MediaTypeHeaderValue(type));
        using var answer = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken);
        // A watch that is allowed has no end.
        return new Answer(answer.StatusCode, answer.IsSuccessStatusCode ? "" : await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
    }

    /// <summary>Server-side apply; with <c>dryRun=All</c> in the query it is only tried.</summary>
    public static Task<Answer> ApplyAsync(HttpClient http, string path, string body) =>
        SendAsync(http, HttpMethod.Patch, path + (path.Contains('?', StringComparison.Ordinal) ? "&" : "?") + "fieldManager=test&force=true", body, "application/apply-patch+yaml");

    private static async Task UntilAsync(Func<Task<Answer>> request, Func<Answer, bool> expected, string what)
    {
        var last = new Answer(default, "");
        try
        {
            await Eventually.UntilAsync(async () => expected(last = await request()), what);
        }
        catch (TimeoutException e)
        {
            throw new TimeoutException($"{e.Message}; the last answer: {last}", e);
        }
    }
}

public sealed record Answer(HttpStatusCode Status, string Body);
