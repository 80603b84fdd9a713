using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text.Json.Nodes;

namespace Reconciler.Testing.Kubernetes;

/// <summary>Tokens, kubeconfigs and kubectl.</summary>
public sealed partial class ApiServer
{
    /// <summary>A bearer token as a pod of this service account holds it.</summary>
    /// <param name="ns">The account's namespace.</param>
    /// <param name="account">The service account's name.</param>
    /// <param name="node">Node that the token is bound to (<c>authentication.kubernetes.io/node-name</c>); null = none.</param>
    public async Task<string> TokenForAsync(string ns, string account, string? node = null)
    {
        if (_programs.IsKubernetes)
        {
            string[] bound = node is null ? [] : ["--bound-object-kind", "Node", "--bound-object-name", node];
            return (await KubectlAsync(["create", "token", account, "-n", ns, .. bound])).Trim();
        }
        var token = RandomNumberGenerator.GetHexString(32, lowercase: true);
        var extra = new JsonObject();
        if (node is not null) extra["authentication.kubernetes.io/node-name"] = new JsonArray(node);
        await ChangeTokensAsync(() => _tokens.Add(new JsonObject
        {
            ["token"] = token,
            ["user"] = $"system:serviceaccount:{ns}:{account}",
            ["groups"] = new JsonArray("system:serviceaccounts", $"system:serviceaccounts:{ns}"),
            ["extra"] = extra,
        }));
        return token;
    }

    /// <summary>The server answers 401 to it from now on.</summary>
    public async Task RevokeAsync(string token)
    {
        if (_programs.IsKubernetes) throw new NotSupportedException("tokens of a whole Kubernetes cannot be revoked one by one");
        await ChangeTokensAsync(() => _tokens.Remove(_tokens.Single(entry => (string?)entry!["token"] == token)));
    }

    /// <summary>A client with a bearer token; otherwise as <see cref="Http"/>.</summary>
    public HttpClient CreateHttp(string token)
    {
        var http = CreateHttp(Url, _authority.ClientOptions());
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        return http;
    }

    /// <summary>A kubeconfig file for a bearer token.</summary>
    public async Task<string> KubeconfigForAsync(string token)
    {
        var file = _folder[$"kubeconfig-{Names.Unique()}"];
        await File.WriteAllTextAsync(file, KubeconfigText($"token: {token}"));
        return file;
    }

    /// <summary>Runs kubectl as the admin and returns its output; an exit code other than 0 throws.</summary>
    public async Task<string> KubectlAsync(params string[] arguments)
    {
        var result = await TryKubectlAsync(Kubeconfig, arguments);
        return result.ExitCode == 0
            ? result.Output
            : throw new InvalidOperationException($"kubectl {string.Join(' ', arguments)}: exit code {result.ExitCode}\n{result.Output}{result.Error}");
    }

    public Task<CommandResult> TryKubectlAsync(string kubeconfig, params string[] arguments) =>
        Shell.RunAsync(_programs.Kubectl, ["--kubeconfig", kubeconfig, "--cache-dir", _folder["kubectl"], .. arguments]);

    /// <summary>kubectl apply of a manifest as the admin.</summary>
    public async Task<string> ApplyAsync(string yaml)
    {
        var file = _folder[$"apply-{Names.Unique()}.yaml"];
        await File.WriteAllTextAsync(file, yaml);
        return await KubectlAsync("apply", "-f", file);
    }

    private string KubeconfigText(string user) => $$$"""
        apiVersion: v1
        kind: Config
        clusters: [{name: test, cluster: {server: "https://127.0.0.1:{{{Port}}}", certificate-authority: "{{{CaFile}}}"}}]
        users: [{name: test, user: { {{{user}}} }}]
        contexts: [{name: test, context: {cluster: test, user: test}}]
        current-context: test

        """;

    private async Task ChangeTokensAsync(Action change)
    {
        await _tokenGate.WaitAsync();
        try
        {
            change();
            var next = _folder["tokens.next"];
            await File.WriteAllTextAsync(next, _tokens.ToJsonString());
            // The server looks at the time of change, whose steps are coarser than two writes may be apart.
            File.SetLastWriteTimeUtc(next, File.GetLastWriteTimeUtc(_folder["tokens.json"]).AddSeconds(1));
            File.Move(next, _folder["tokens.json"], overwrite: true);
        }
        finally
        {
            _tokenGate.Release();
        }
    }
}
