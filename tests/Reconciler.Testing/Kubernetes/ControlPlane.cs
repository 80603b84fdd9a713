namespace Reconciler.Testing.Kubernetes;

/// <summary>Where the programs of a control plane are: <c>KUBEBUILDER_ASSETS</c> where set, else what tests/control-plane/build.sh made.</summary>
internal sealed record ControlPlane(string ApiServer, string Etcd35, string Etcd34, string Kubectl, bool IsKubernetes)
{
    private static readonly TimeSpan BuildLimit = TimeSpan.FromMinutes(30);
    private static readonly Lazy<Task<ControlPlane>> Found = new(FindAsync);

    /// <summary>Builds it where the cache has none yet, which takes minutes.</summary>
    public static Task<ControlPlane> GetAsync() => Found.Value;

    private static async Task<ControlPlane> FindAsync()
    {
        var script = Path.Combine(Checkout.Root, "tests/control-plane/build.sh");
        var built = await Shell.RunAsync(script, [], limit: BuildLimit);
        if (built.ExitCode != 0) throw new InvalidOperationException($"{script}: exit code {built.ExitCode}\n{built.Error}");
        var folder = built.Output.Trim();
        return Environment.GetEnvironmentVariable("KUBEBUILDER_ASSETS") is { Length: > 0 } assets
            ? new ControlPlane($"{assets}/kube-apiserver", $"{assets}/etcd", $"{folder}/etcd-3.4", $"{assets}/kubectl", IsKubernetes: true)
            : new ControlPlane($"{folder}/controlplane", $"{folder}/etcd-3.5", $"{folder}/etcd-3.4", $"{folder}/kubectl", IsKubernetes: false);
    }
}
