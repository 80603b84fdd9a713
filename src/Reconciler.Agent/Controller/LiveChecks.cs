using Reconciler.Agent.Cluster;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Controller;

/// <summary>Asks the server itself where an absence in our lists would have consequences that cannot be taken back.</summary>
internal sealed class LiveChecks(ClusterClient client)
{
    public Task<bool> IsNodeGoneAsync(string node, CancellationToken cancellation) => IsGoneAsync("api/v1/nodes/", node, "", cancellation);

    /// <summary>There is no such set, or another one has its name now.</summary>
    public Task<bool> IsSetGoneAsync(string ns, OwnerReference owner, CancellationToken cancellation) =>
        IsGoneAsync($"apis/reconciler.dev/v1alpha1/namespaces/{ns}/nodeworkloadsets/", owner.Name, owner.Uid, cancellation);

    private async Task<bool> IsGoneAsync(string path, string name, string uid, CancellationToken cancellation)
    {
        try
        {
            using var found = await client.GetAsync(path + name, cancellation);
            return uid.Length > 0 && found.RootElement.Find("metadata").Text("uid") != uid;
        }
        catch (ClusterException e) when (e is { IsNotFound: true, Reason: "NotFound" } && e.Message.Contains($"\"{name}\" not found", StringComparison.Ordinal))
        {
            return true; // a server that is starting says 404, too, of kinds that it does not serve yet, but names no object
        }
    }
}
